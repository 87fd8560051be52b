package sets

import (
	"time"

	"tsdb/benchmarks/fleet"
)

// Nodes is a fleet of machines under node_exporter, scraped every 15 s with
// jitter.
func Nodes(o Options) Set {
	// Start itself is not in the span.
	f := fleet.New(fleet.Options{Targets: o.Groups, Start: o.Start.Add(time.Millisecond), Span: o.Span, Interval: o.step(15 * time.Second), Seed: o.Seed})
	return Set{
		Name:   "node fleet",
		Groups: o.Groups,
		Group: func(i int) ([]Series, error) {
			names, times, values := f.Columns(i)
			all := make([]Series, len(names))
			for j := range all {
				all[j] = Series{Labels: names[j], Times: times, Values: values[j]}
			}
			return all, nil
		},
	}
}
