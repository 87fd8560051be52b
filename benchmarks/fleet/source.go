package fleet

import (
	"fmt"
	"math"
	"time"

	"tsdb/benchmarks/remote"
)

// Source produces the requests of one sender, with scrapes in order of time. It is
// not safe for concurrent use.
type Source struct {
	f       *Fleet
	targets []target // in order of their scrapes in a round
	round   int
	at      int // index of the target being scraped
	series  int // index of its next series
}

// target is one machine, or its successors.
type target struct {
	id          int
	incarnation int
	offset      time.Duration // of its scrapes in the interval
	rng         uint64
	t           int64   // of its last scrape, Unix milliseconds
	events      float64 // of the last observations, for the buckets behind
	values      []float64
	labels      []byte // encoded, in the order of targetLabels
	ends        [16]uint16
}

// Source returns the source of sender k, 0 ≤ k < Options.Senders.
func (f *Fleet) Source(k int) *Source {
	s := &Source{f: f}
	for id := k; id < f.o.Targets; id += f.o.Senders {
		s.targets = append(s.targets, f.target(id))
	}
	s.startScrape()
	return s
}

// target returns a target before its first scrape.
func (f *Fleet) target(id int) target {
	t := target{
		id:     id,
		offset: time.Duration(float64(f.o.Interval) * float64(id) / float64(f.o.Targets)),
		values: make([]float64, len(f.metrics)),
	}
	t.begin(f, f.incarnation(id, 0))
	return t
}

// incarnation returns which successor of target id is scraped in a round. The
// targets are replaced one after another, evenly over time.
func (f *Fleet) incarnation(id, round int) int {
	hours := (time.Duration(round) * f.o.Interval).Hours()
	return int(hours*f.o.Churn + float64(id)/float64(f.o.Targets))
}

// begin gives the target the labels and first values of an incarnation.
func (t *target) begin(f *Fleet, incarnation int) {
	t.incarnation = incarnation
	t.rng = mix(f.o.Seed ^ uint64(t.id)<<20 ^ uint64(incarnation)<<48)
	t.labels = t.labels[:0]
	for i, value := range labelValues(t.id, incarnation) {
		t.labels = remote.AppendLabel(t.labels, targetLabels[i], value)
		t.ends[i+1] = uint16(len(t.labels))
	}
	for i := range f.metrics {
		t.values[i] = f.metrics[i].first(t)
	}
}

// labelValues returns the values of targetLabels.
func labelValues(id, incarnation int) []string {
	return []string{
		fmt.Sprintf("eu-central-1%c", 'a'+id%3),
		fmt.Sprintf("dc%02d", id%7),
		"production",
		fmt.Sprintf("node-%05d-%d.example.org:9100", id, incarnation),
		"node",
		"platform",
		fmt.Sprintf("rack-%03d", id%97),
		"eu-central-1",
		fmt.Sprintf("service-%d", id%19),
		fmt.Sprintf("team-%d", id%11),
	}
}

// AppendRequest implements remote.Source. It gives no errors.
func (s *Source) AppendRequest(dst []byte) ([]byte, int, error) {
	n := 0
	for n < s.f.o.RequestSamples && s.round < s.f.rounds() && len(s.targets) > 0 {
		t := &s.targets[s.at]
		for ; n < s.f.o.RequestSamples && s.series < len(s.f.metrics); n++ {
			dst = s.appendSeries(dst, t, s.series)
			s.series++
		}
		if s.series == len(s.f.metrics) {
			s.at++
			if s.at == len(s.targets) {
				s.at = 0
				s.round++
			}
			s.startScrape()
		}
	}
	return dst, n, nil
}

// Scrape returns the next scrape of a fleet without churn instead of a request: the
// target, its time in Unix milliseconds, and the values of all its series, which are valid
// until its next scrape; ok is false at the end.
func (s *Source) Scrape() (target int, at int64, values []float64, ok bool) {
	if s.f.o.Churn != 0 {
		panic("BUG: scrapes of a fleet with churn")
	}
	if s.round == s.f.rounds() || len(s.targets) == 0 {
		return 0, 0, nil, false
	}
	t := &s.targets[s.at]
	at = t.t
	for i := range s.f.metrics {
		t.next(s.f, i)
	}
	if s.at++; s.at == len(s.targets) {
		s.at = 0
		s.round++
	}
	s.startScrape()
	return t.id, at, t.values, true
}

func (s *Source) startScrape() {
	s.series = 0
	if len(s.targets) > 0 {
		s.targets[s.at].startScrape(s.f, s.round)
	}
}

// startScrape sets the time of the scrape of a round. The jitter is that of a
// scraper's timers: some milliseconds late, never early.
func (t *target) startScrape(f *Fleet, round int) {
	if i := f.incarnation(t.id, round); i != t.incarnation {
		t.begin(f, i)
	}
	r := t.random()
	jitter := int64(r % 4)
	if r>>8%16 == 0 {
		jitter += int64(r >> 16 % 12)
	}
	t.t = f.o.Start.Add(time.Duration(round)*f.o.Interval+t.offset).UnixMilli() + jitter
}

// next advances series i to the current scrape and returns its value.
func (t *target) next(f *Fleet, i int) float64 {
	t.values[i] = f.metrics[i].next(t, t.values[i], f.o.Interval.Seconds())
	return t.values[i]
}

func (s *Source) appendSeries(dst []byte, t *target, i int) []byte {
	return remote.AppendSample(s.f.appendLabels(dst, t, i, 1), t.t, t.next(s.f, i))
}

// appendLabels appends the beginning of series i with a number of samples, which follow.
func (f *Fleet) appendLabels(dst []byte, t *target, i, samples int) []byte {
	p := &f.plans[i]
	dst = remote.AppendSeries(dst, p.own+int(t.ends[p.n]), samples)
	for _, part := range p.parts {
		if part.own != nil {
			dst = append(dst, part.own...)
		} else {
			dst = append(dst, t.labels[t.ends[part.from]:t.ends[part.to]]...)
		}
	}
	return dst
}

// random returns 64 random bits.
func (t *target) random() uint64 {
	t.rng ^= t.rng << 13
	t.rng ^= t.rng >> 7
	t.rng ^= t.rng << 17
	return t.rng
}

// uniform returns a random number in [0, 1).
func (t *target) uniform() float64 { return float64(t.random()>>11) / (1 << 53) }

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31 | 1
}

// first returns the value that a series starts from.
func (m *metric) first(t *target) float64 {
	switch m.kind {
	case counter:
		return math.Floor(m.rate * 86400 * t.uniform())
	case tickCounter:
		return math.Floor(m.rate*86400*100*t.uniform()) / 100
	case idleCounter, observations, bucket, floatSum, nanoSum, microSum, clock:
		return 0
	case pages:
		return 4096 * math.Floor(m.rate/4096*(0.5+t.uniform()))
	}
	return m.rate
}

// next returns the value that follows v after seconds.
func (m *metric) next(t *target, v, seconds float64) float64 {
	switch m.kind {
	case constant:
		return v
	case counter:
		return v + math.Floor(m.rate*seconds*(0.5+t.uniform())+t.uniform())
	case idleCounter:
		if t.random()%20 == 0 {
			return v + 1 + float64(t.random()%4)
		}
		return v
	case tickCounter:
		return math.Round(v*100+math.Floor(m.rate*seconds*100*(0.7+0.6*t.uniform())+t.uniform())) / 100
	case floatSum:
		return v + m.rate*t.events*t.uniform()
	case nanoSum:
		return (math.Round(v*1e9) + math.Floor(1e9*m.rate*seconds*t.uniform())) / 1e9
	case microSum: // the exporter divides twice
		return (math.Round(v*1e6) + math.Floor(1e6*m.rate*seconds*t.uniform())) / 1000 / 1000
	case clock: // read while the page is made, some milliseconds after the scrape began
		return (float64(t.t)*1e6 + math.Floor(4e6*(1+t.uniform()))) / 1e9
	case pages:
		if t.random()%4 == 0 {
			return v
		}
		return max(0, v+4096*math.Floor((t.uniform()-0.5)*m.rate/4096/50))
	case level:
		if t.random()%3 != 0 {
			return v
		}
		return max(0, v+math.Floor((t.uniform()-0.5)*(2+m.rate/50)+0.5))
	case load:
		return max(0, math.Round(100*(v+(m.rate-v)*0.1+(t.uniform()-0.5)*0.3))/100)
	case celsius:
		return v + 0.25*float64(t.random()%5) - 0.5
	case lastDuration:
		if t.random()%8 != 0 {
			return v
		}
		fallthrough
	case duration:
		return math.Floor(m.rate*(0.85+0.3*t.uniform())*1e9) / 1e9
	case observations:
		t.events = math.Floor(m.rate*seconds*(0.5+t.uniform()) + t.uniform())
		return v + t.events
	case bucket:
		return v + math.Floor(t.events*m.rate+0.5)
	}
	panic("BUG: unknown kind of metric")
}
