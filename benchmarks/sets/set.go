package sets

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Series is one series of a set.
type Series struct {
	Labels labels.Labels
	Times  []int64   // Unix milliseconds, rising; shared by series that are scraped together
	Values []float64 // as long as Times
}

// Set is a data set. It does not change; Group may be called by several
// goroutines.
type Set struct {
	Name   string
	Groups int // hosts or targets

	// Group returns the series of group i, 0 ≤ i < Groups. The caller may read
	// but not change the slices.
	Group func(i int) ([]Series, error)
}

// Options describes a generated set. All fields but Step are needed.
type Options struct {
	Groups int           // hosts or targets
	Start  time.Time     // samples lie in (Start, Start + Span]
	Span   time.Duration // time that the samples cover
	Step   time.Duration // between two samples; 0 = the set's own
	Seed   uint64
}

// times returns the times of a sample every step, the last one at the end of
// the span. own is the set's own step.
func (o Options) times(own time.Duration) []int64 {
	step := o.step(own)
	ts := make([]int64, o.Span/step)
	for i := range ts {
		ts[i] = o.Start.Add(time.Duration(i+1) * step).UnixMilli()
	}
	return ts
}

// step returns the time between two samples. own is the set's own.
func (o Options) step(own time.Duration) time.Duration {
	if o.Step != 0 {
		return o.Step
	}
	return own
}

// random returns the source of randomness of one part of the set, which is
// identified by its name and group.
func (o Options) random(name string, group int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", name, group)
	return rand.New(rand.NewPCG(o.Seed, h.Sum64()))
}

// Only returns the set of those series whose metric has one of the names.
func (s Set) Only(metrics ...string) Set {
	all := s.Group
	s.Group = func(i int) ([]Series, error) {
		series, err := all(i)
		var kept []Series
		for _, one := range series {
			if slices.Contains(metrics, one.Labels.Get(model.MetricNameLabel)) {
				kept = append(kept, one)
			}
		}
		return kept, err
	}
	return s
}

// column returns n values of f, called in order.
func column(n int, f func() float64) []float64 {
	vs := make([]float64, n)
	for i := range vs {
		vs[i] = f()
	}
	return vs
}
