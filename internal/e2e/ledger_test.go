package e2e

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// door is a protocol by which samples are written.
type door uint8

const (
	remoteWriteDoor door = iota
	influxDoor
)

func (d door) metric() string {
	return [...]string{"ledger_remote", "ledger_influx_value"}[d]
}

// ledger is a client that writes with one protocol and records the acknowledged value
// of each key. It writes samples that a database is likely to handle incorrectly:
// late samples of several days, overwritten values, unusual floats.
//
// Only one goroutine writes, so each key has a last acknowledged value and, after
// a failure, values sent later that may or may not have arrived. A reader must see
// one of these; if none was acknowledged it may also see none.
type ledger struct {
	door   door
	client int
	rand   *rand.Rand
	base   int64 // Unix milliseconds: times of new samples rise from here
	next   int64

	mu     sync.Mutex
	series []map[int64]*entry
	times  [][]int64 // keys by series in order of writing, to be overwritten
	acked  int       // samples
}

type entry struct {
	acked   bool
	value   uint64   // bits, if acked
	unknown []uint64 // sent after it, not acknowledged
}

const (
	ledgerSeries    = 10
	ledgerBatch     = 200
	ledgerLatest    = 48 * time.Hour // maximum age of a late sample
	ledgerReadRange = ledgerLatest + 24*time.Hour
)

func newLedger(d door, client int, seed int64) *ledger {
	l := &ledger{door: d, client: client, rand: rand.New(rand.NewSource(seed)), base: time.Now().UnixMilli()}
	l.series = make([]map[int64]*entry, ledgerSeries)
	for i := range l.series {
		l.series[i] = map[int64]*entry{}
	}
	l.times = make([][]int64, ledgerSeries)
	return l
}

// sample is one key and value of a request.
type sample struct {
	series int
	t      int64
	v      float64
}

// batch returns the samples of one request, each key once.
func (l *ledger) batch() []sample {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[[2]int64]bool{}
	var out []sample
	for range ledgerBatch {
		s := sample{series: l.rand.Intn(ledgerSeries), v: l.value()}
		switch n := l.rand.Intn(20); {
		case n == 0 && len(l.times[s.series]) > 0: // overwrite
			s.t = l.times[s.series][l.rand.Intn(len(l.times[s.series]))]
		case n <= 2: // late
			s.t = l.base - l.rand.Int63n(ledgerLatest.Milliseconds())
		default:
			l.next += 1 + l.rand.Int63n(3)
			s.t = l.base + l.next
		}
		if k := [2]int64{int64(s.series), s.t}; !seen[k] {
			seen[k] = true
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b sample) int { return a.series - b.series })
	return out
}

// value returns a float that is likely to be changed by a faulty encoding.
func (l *ledger) value() float64 {
	switch l.rand.Intn(10) {
	case 0:
		return float64(l.rand.Intn(1000))
	case 1:
		return math.Round(l.rand.Float64()*1e4) / 100
	case 2:
		return math.Copysign(0, -1)
	case 3:
		return math.Float64frombits(uint64(1 + l.rand.Intn(1<<20))) // subnormal
	case 4:
		if l.door == remoteWriteDoor { // the line protocol cannot express it
			return math.Inf(1 - 2*l.rand.Intn(2))
		}
		return math.MaxFloat64
	default:
		return l.rand.NormFloat64() * math.Pow(10, float64(l.rand.Intn(40)-20))
	}
}

// write sends one request and records its result. It returns the error of the
// connection.
func (l *ledger) write(ctx context.Context, c *http.Client, base string) (reply, error) {
	samples := l.batch()
	l.book(samples, func(e *entry, bits uint64) { e.unknown = append(e.unknown, bits) })
	r, err := l.send(ctx, c, base, samples)
	if err == nil && r.acknowledged() {
		l.book(samples, func(e *entry, bits uint64) { *e = entry{acked: true, value: bits} })
		l.mu.Lock()
		l.acked += len(samples)
		l.mu.Unlock()
	}
	return r, err
}

func (l *ledger) book(samples []sample, f func(e *entry, bits uint64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range samples {
		e := l.series[s.series][s.t]
		if e == nil {
			e = &entry{}
			l.series[s.series][s.t] = e
			l.times[s.series] = append(l.times[s.series], s.t)
		}
		f(e, math.Float64bits(s.v))
	}
}

func (l *ledger) send(ctx context.Context, c *http.Client, base string, samples []sample) (reply, error) {
	if l.door == remoteWriteDoor {
		var series []remoteSeries
		for i, s := range samples {
			if i == 0 || samples[i-1].series != s.series {
				series = append(series, remoteSeries{labels: []string{
					"__name__", l.door.metric(), "client", strconv.Itoa(l.client), "series", strconv.Itoa(s.series),
				}})
			}
			last := &series[len(series)-1]
			last.samples = append(last.samples, point{s.t, s.v})
		}
		return writeRemote(ctx, c, base, series)
	}
	var lines []byte
	for _, s := range samples {
		lines = fmt.Appendf(lines, "ledger_influx,client=%d,series=%d value=%s %d\n", l.client, s.series, strconv.FormatFloat(s.v, 'g', -1, 64), s.t)
	}
	return writeLines(ctx, c, base, "ledger", lines)
}

// verify reads all samples back and compares them bit by bit. The value it reads for an
// unacknowledged write, or its absence, is the expected result from then on.
func (l *ledger) verify(t *testing.T, c *http.Client, base string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	end := time.UnixMilli(l.base + l.next + 1)
	got := make([]map[int64]uint64, ledgerSeries)
	for _, s := range readRaw(t, c, base, fmt.Sprintf(`%s{client="%d"}`, l.door.metric(), l.client), end, ledgerReadRange) {
		i, err := strconv.Atoi(s.Metric["series"])
		if err != nil || i < 0 || i >= ledgerSeries || got[i] != nil {
			t.Fatalf("unknown or doubled series %v", s.Metric)
		}
		got[i] = make(map[int64]uint64, len(s.Values))
		last := int64(math.MinInt64)
		for _, p := range s.Values {
			if p.t <= last {
				t.Fatalf("%v: time %d after %d", s.Metric, p.t, last)
			}
			last = p.t
			got[i][p.t] = math.Float64bits(p.v)
		}
	}
	problems := 0
	complain := func(format string, args ...any) {
		t.Helper()
		if problems++; problems <= 10 {
			t.Errorf(format, args...)
		}
	}
	for i := range l.series {
		for ts, e := range l.series[i] {
			bits, ok := got[i][ts]
			switch {
			case !ok && e.acked:
				complain("%s series %d: acknowledged sample %d is missing", l.door.metric(), i, ts)
			case ok && !(e.acked && bits == e.value) && !slices.Contains(e.unknown, bits):
				complain("%s series %d time %d: value %016x was neither acknowledged (%v, %016x) nor sent since", l.door.metric(), i, ts, bits, e.acked, e.value)
			}
			*e = entry{acked: ok, value: bits}
			delete(got[i], ts)
		}
		for ts := range got[i] {
			complain("%s series %d: sample %d was never sent", l.door.metric(), i, ts)
		}
	}
	if problems > 10 {
		t.Errorf("%d problems in all", problems)
	}
}

// ackedSamples returns the number of acknowledged samples.
func (l *ledger) ackedSamples() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}
