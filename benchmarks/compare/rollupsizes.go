package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

const day = 24 * time.Hour

// rollupSize holds the bytes of the tiers of one set, and the CPU time of making them.
type rollupSize struct {
	name    string
	samples int
	raw     int64
	rollups map[string]int64 // bytes by tier
	cpu     time.Duration    // of the minutes and hours, 0 = not measured
	goal    sizeGoal
}

// sizeGoal bounds the bytes of tiers, as shares of those of the samples; 0 = no limit.
type sizeGoal struct {
	hours float64
	all   float64 // all tiers together
}

// maxRollNs is the goal for the CPU time of rolling up a sample, in nanoseconds.
const maxRollNs = 8

// idleSpan is how long a server is idle before its CPU time is read: it still allocates
// segments of the log when it is ready.
const idleSpan = 500 * time.Millisecond

// rollupSet is a set whose tiers are measured.
type rollupSet struct {
	name string
	set  sets.Set
	goal sizeGoal
}

// rollupSets returns the sets whose tiers are measured.
func rollupSets(o rollupOptions) []rollupSet {
	options := func(groups, days int, step time.Duration) sets.Options {
		return sets.Options{Groups: groups, Start: firstRollupDay, Span: time.Duration(days) * day, Step: step, Seed: 1}
	}
	few := max(1, o.sizeDays/12)
	return []rollupSet{
		{"node_exporter fleet, 15 s", sets.Nodes(options(o.sizeTargets, o.sizeDays, 0)), sizeGoal{hours: 0.04}},
		{"TSBS cpu-only, 10 s", sets.CPUOnly(options(o.sizeHosts, o.sizeDays, 0)), sizeGoal{hours: 0.08}},
		{"node_exporter fleet, 1 s", sets.Nodes(options(1, few, time.Second)), sizeGoal{all: 0.20}},
		{"TSBS cpu-only, 1 s", sets.CPUOnly(options(max(1, o.sizeHosts/5), few, time.Second)), sizeGoal{all: 0.20}},
	}
}

// measureRollupSizes rolls up the sets and prints the sizes.
func measureRollupSizes(ctx context.Context, o rollupOptions) error {
	return measureSizes(ctx, o, rollupSets(o))
}

// measureStoredSizes does it for what a server has stored lately.
func measureStoredSizes(ctx context.Context, o rollupOptions) error {
	set, err := sets.Stored(ctx, strings.TrimSuffix(o.stored, "/"), time.Now(), o.storedSpan, firstRollupDay, o.storedTimes)
	if err != nil {
		return fmt.Errorf("%s: %w", o.stored, err)
	}
	all, err := set.Group(0)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d series of %s, the last %s", len(all), o.stored, o.storedSpan)
	if o.storedTimes > 1 {
		name += fmt.Sprintf(", %d times", o.storedTimes)
	}
	return measureSizes(ctx, o, []rollupSet{{name, set, sizeGoal{all: 0.20}}})
}

func measureSizes(ctx context.Context, o rollupOptions, all []rollupSet) error {
	var sizes []rollupSize
	for _, s := range all {
		size := rollupSize{name: s.name, goal: s.goal}
		err := server.InEmptyDir(o.scratch, func(dir string) error { return size.measure(ctx, o, s.set, filepath.Join(dir, "tsdb")) })
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		sizes = append(sizes, size)
	}
	writeRollupSizes(os.Stdout, sizes)
	return nil
}

// measure writes a set into a server without rollups, and starts it again with them.
// The CPU time of making them is that of a start with rollups until everything is
// compacted, less that of a start without on a copy: what both recover of the log takes
// longer than to roll up ten million samples, and no two directories take the same.
func (s *rollupSize) measure(ctx context.Context, o rollupOptions, set sets.Set, dir string) error {
	tsdb := server.TSDB(o.tsdb).With(keepAll...)
	off := &contender{Server: tsdb.With("--rollups", "off"), dir: dir}
	defer off.end()
	var err error
	if s.samples, err = off.fill(ctx, set); err != nil {
		return err
	}
	off.end()
	before := &contender{Server: off.Server, dir: dir + "-off"}
	if err := os.CopyFS(before.dir, os.DirFS(dir)); err != nil {
		return err
	}
	without, err := before.compactAnew(ctx)
	if err != nil {
		return err
	}
	on := &contender{Server: tsdb.With("--rollups", "1m,1h,6h"), dir: dir}
	defer on.end()
	with, err := on.compactAnew(ctx)
	if err != nil {
		return err
	}
	s.cpu = with - without
	s.rollups = map[string]int64{}
	if err := s.add(dir, "1m", "1h", "6h"); err != nil {
		return err
	}
	halves := &contender{Server: tsdb.With("--rollups", "30m,1h"), dir: dir}
	defer halves.end()
	if _, err := halves.compactAnew(ctx); err != nil {
		return err
	}
	return s.add(dir, "30m")
}

// add adds the bytes of tiers, and of the samples.
func (s *rollupSize) add(dir string, tiers ...string) (err error) {
	for _, tier := range tiers {
		if s.rollups[tier], err = server.Size(filepath.Join(dir, tier)); err != nil {
			return err
		}
	}
	s.raw, err = server.Size(filepath.Join(dir, "raw"))
	return err
}

// compactAnew starts the server anew, compacts everything, ends the server once it is
// idle and returns the CPU time that it has used.
func (c *contender) compactAnew(ctx context.Context) (time.Duration, error) {
	c.end()
	p, _, err := server.Start(ctx, c.Server, c.dir)
	if err != nil {
		return 0, err
	}
	c.process = p
	defer c.end()
	if _, err := p.Post(ctx, "/api/v1/admin/compact"); err != nil {
		return 0, p.Fail(err)
	}
	if err := p.Idle(ctx, idleSpan); err != nil {
		return 0, p.Fail(err)
	}
	return p.CPU()
}

// writeRollupSizes writes the sizes as Markdown. What misses a goal is bold.
func writeRollupSizes(w io.Writer, sizes []rollupSize) {
	fmt.Fprint(w, "| set | samples | samples, B each | 1m ÷ samples | 30m ÷ samples | 1h ÷ samples | 6h ÷ samples | all three ÷ samples | CPU a sample, ns |\n")
	fmt.Fprint(w, "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, s := range sizes {
		share := func(limit float64, tiers ...string) string {
			n := int64(0)
			for _, tier := range tiers {
				n += s.rollups[tier]
			}
			return bold(fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(1, s.raw))), limit > 0 && float64(n) > limit*float64(s.raw))
		}
		ns := float64(s.cpu.Nanoseconds()) / float64(max(1, s.samples))
		fmt.Fprintf(w, "| %s | %.2f M | %.4f | %s | %s | %s | %s | %s | %s |\n", s.name, float64(s.samples)/1e6, float64(s.raw)/float64(max(1, s.samples)),
			share(0, "1m"), share(0, "30m"), share(s.goal.hours, "1h"), share(0, "6h"), share(s.goal.all, "1m", "1h", "6h"), bold(fmt.Sprintf("%.1f", ns), ns > maxRollNs))
	}
}

// bold returns text, in bold if it is to be.
func bold(text string, is bool) string {
	if is {
		return "**" + text + "**"
	}
	return text
}
