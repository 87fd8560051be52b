package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tsdb/benchmarks/remote"
)

// Properties of every target.
const (
	SeriesPerTarget = 500
	LabelsPerSeries = 11
)

// Options describes a fleet. Zero fields take the defaults.
type Options struct {
	Targets        int           // default 200
	Start          time.Time     // of the first scrape; by default the last one lies 1 min back
	Span           time.Duration // time that the scrapes cover; default 1 h
	Interval       time.Duration // between scrapes of a target; default 15 s
	Churn          float64       // share of the targets that is replaced by new ones in an hour of Span, 0 ≤ Churn; default none
	RequestSamples int           // samples a request; default 2,000
	Senders        int           // default 2
	Seed           uint64        // same seed, same samples; default 1

	// Scrapes is how many scrapes in a row of a target are in one request, as a sender
	// writes that was delayed; 0 = single ones, as RequestSamples says. Without churn only.
	Scrapes int

	// Keep says which series of a target there are, by their metric and the value of each
	// label that is not the target's ("" = none); nil = all SeriesPerTarget. The
	// sum and the buckets of a histogram follow its count, which must be kept with them.
	Keep func(metric string, value func(label string) string) bool
}

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.Targets, 200)
	set(&o.RequestSamples, 2000)
	set(&o.Senders, 2)
	if o.Span <= 0 {
		o.Span = time.Hour
	}
	if o.Interval <= 0 {
		o.Interval = 15 * time.Second
	}
	if o.Start.IsZero() {
		o.Start = time.Now().Add(-o.Span - time.Minute)
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	return o
}

// Fleet is the state that all sources share. It does not change.
type Fleet struct {
	o       Options
	metrics []metric
	plans   []plan // as long as metrics
}

// plan describes how the label bytes of a metric are assembled: parts in order
// of label names, each either the metric's own labels or some of the target's.
type plan struct {
	parts []part
	own   int // bytes of the metric's own labels
	n     int // how many of targetLabels it has
}

type part struct {
	own      []byte // encoded labels, or
	from, to int    // the target's labels from ≤ i < to
}

// targetLabels are the names of a target's labels, sorted. A series has enough of
// the first ones to have LabelsPerSeries labels in total.
var targetLabels = []string{"az", "datacenter", "environment", "instance", "job", "org", "rack", "region", "service", "team"}

// New lays out a fleet.
func New(o Options) *Fleet {
	f := &Fleet{o: o.withDefaults(), metrics: catalogue()}
	if len(f.metrics) != SeriesPerTarget {
		panic(fmt.Sprintf("BUG: the catalogue has %d series, want %d", len(f.metrics), SeriesPerTarget))
	}
	if f.o.Keep != nil {
		f.metrics = slices.DeleteFunc(f.metrics, func(m metric) bool { return !f.o.Keep(m.name, m.label) })
	}
	for _, m := range f.metrics {
		f.plans = append(f.plans, planOf(m))
	}
	return f
}

// Options returns the options with the defaults in place.
func (f *Fleet) Options() Options { return f.o }

// Series returns the number of series at any one time.
func (f *Fleet) Series() int { return f.o.Targets * len(f.metrics) }

// Samples returns the number of samples of all sources.
func (f *Fleet) Samples() int { return f.Series() * f.rounds() }

func (f *Fleet) rounds() int { return max(1, int(f.o.Span/f.o.Interval)) }

// Send writes the whole fleet to a remote-write 1 address.
func (f *Fleet) Send(ctx context.Context, url string) (*remote.Report, error) {
	return remote.Send(ctx, url, f.Sources())
}

// Sources returns the sources of all senders.
func (f *Fleet) Sources() []remote.Source {
	sources := make([]remote.Source, f.o.Senders)
	for k := range sources {
		if f.o.Scrapes > 0 {
			sources[k] = f.delayed(k)
		} else {
			sources[k] = f.Source(k)
		}
	}
	return sources
}

func planOf(m metric) plan {
	p := plan{n: LabelsPerSeries - 1 - len(m.own)}
	names := append([]label{{"__name__", m.name}}, m.own...)
	at := 0
	for _, l := range names {
		to, _ := slices.BinarySearch(targetLabels[:p.n], l.name)
		if to > at {
			p.parts = append(p.parts, part{from: at, to: to})
			at = to
		}
		own := remote.AppendLabel(nil, l.name, l.value)
		p.parts = append(p.parts, part{own: own})
		p.own += len(own)
	}
	if at < p.n {
		p.parts = append(p.parts, part{from: at, to: p.n})
	}
	return p
}
