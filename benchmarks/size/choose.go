package main

import (
	"fmt"
	"strings"
	"time"

	"tsdb/benchmarks/sets"
)

// options holds the sizes of the sets.
type options struct {
	hosts, targets int
	span           time.Duration
	seed           uint64
	recording      string // file; "" = none
}

// choice is a set and the goal for it.
type choice struct {
	short string // name on the command line
	set   sets.Set
	goal  goal
}

// goal bounds tsdb's bytes per sample, everything included, by the lower of its
// two limits.
type goal struct {
	bytes float64 // 0 = none
	ofVM  float64 // ratio to VictoriaMetrics in the same run; 0 = none
}

const day = 24 * time.Hour

// choose returns the sets with the given names, all if there are none. Their
// samples lie in the last full days of UTC: partitions of days are filled from
// their start, and every server's default retention includes them.
func choose(names string, o options) ([]choice, error) {
	start := time.Now().UTC().Truncate(day).Add(-(o.span + day - 1) / day * day)
	hosts := sets.Options{Groups: o.hosts, Start: start, Span: o.span, Seed: o.seed}
	targets := hosts
	targets.Groups = o.targets
	all := []choice{
		{"cpu", sets.CPUOnly(hosts), goal{bytes: 0.30}},
		{"devops", sets.DevOps(hosts), goal{bytes: 0.47}},
		{"nodes", sets.Nodes(targets), goal{ofVM: 0.55}},
		{"sensors", sets.Sensors(hosts), goal{bytes: 0.56}},
		{"uniform", sets.Uniform(hosts), goal{bytes: 7.0}},
	}
	if o.recording != "" {
		// Noon is the edge of a window of chunks whatever its length.
		all = append(all, choice{"real", sets.Recording(o.recording, start.Add(12*time.Hour+time.Second)), goal{bytes: 0.39}})
	}
	if names == "" {
		return all, nil
	}
	var chosen []choice
	for name := range strings.SplitSeq(names, ",") {
		n := len(chosen)
		for _, c := range all {
			if c.short == name {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("no data set is named %q (cpu, devops, nodes, sensors, uniform; real with -recording)", name)
		}
	}
	return chosen, nil
}
