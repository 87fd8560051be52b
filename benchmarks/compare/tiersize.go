package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// tierSize holds the bytes of each tier of one set, and what rolling it up took.
type tierSize struct {
	name    string
	samples int
	bytes   map[string]int64 // by tier
	cpu     time.Duration    // of rolling up
}

// measureTiers rolls up each set in an otherwise idle server and prints the sizes.
func measureTiers(ctx context.Context, o rollupOptions) error {
	const day, seed = 24 * time.Hour, 1
	at := func(groups int, step time.Duration, span time.Duration) sets.Options {
		return sets.Options{Groups: groups, Start: firstDay, Span: span, Step: step, Seed: seed}
	}
	var sizes []tierSize
	for _, s := range []struct {
		name string
		set  sets.Set
	}{
		{"TSBS cpu-only, 10 s", sets.CPUOnly(at(o.hosts, 0, 2*day))},
		{"node_exporter fleet, 15 s", sets.Nodes(at(o.targets, 0, 2*day))},
		{"TSBS cpu-only, 1 s", sets.CPUOnly(at(max(1, o.hosts/5), time.Second, day))},
		{"node_exporter fleet, 1 s", sets.Nodes(at(max(1, o.targets/4), time.Second, day))},
	} {
		size, err := measureTierSize(ctx, o, s.set)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		size.name = s.name
		sizes = append(sizes, size)
	}
	writeTierSizes(os.Stdout, sizes)
	return nil
}

// measureTierSize writes a set into a server without rollups. The CPU of rolling up is
// that of a start with rollups until compact has answered, less that of a start
// without them.
func measureTierSize(ctx context.Context, o rollupOptions, set sets.Set) (tierSize, error) {
	var size tierSize
	err := server.InEmptyDir(o.scratch, func(dir string) error {
		tsdb := server.TSDB(o.tsdb).With(keepAll...)
		off := &contender{Server: tsdb.With("--rollups", "off"), dir: dir + "/tsdb"}
		defer off.end()
		if err := off.fill(ctx, set); err != nil {
			return err
		}
		without, _, err := off.compactAnew(ctx)
		if err != nil {
			return err
		}
		off.end()
		on := &contender{Server: tsdb, dir: off.dir}
		defer on.end()
		with, status, err := on.compactAnew(ctx)
		if err != nil {
			return err
		}
		size.cpu = with - without
		size.samples, size.bytes = status.samples(), status.bytes()
		if len(size.bytes) < 2 {
			return errors.New("compact has made no rollups")
		}
		return nil
	})
	return size, err
}

// compactAnew starts the server anew and merges everything. It returns the CPU time
// that this took, and what is stored then.
func (c *contender) compactAnew(ctx context.Context) (time.Duration, storageStatus, error) {
	var status storageStatus
	if err := c.restart(ctx); err != nil {
		return 0, status, err
	}
	if _, err := c.process.Post(ctx, "/api/v1/admin/compact"); err != nil {
		return 0, status, c.process.Fail(err)
	}
	cpu, err := c.process.CPU()
	if err != nil {
		return 0, status, err
	}
	body, err := c.process.Get(ctx, "/api/v1/status/storage")
	if err != nil {
		return 0, status, err
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return 0, status, fmt.Errorf("status/storage: %w", err)
	}
	return cpu, status, nil
}

// storageStatus holds the fields of /api/v1/status/storage that are needed.
type storageStatus struct {
	Data struct {
		Samples int
		Tiers   []struct {
			Tier  string
			Bytes int64
		}
	}
}

func (s storageStatus) samples() int { return s.Data.Samples }

// bytes returns the bytes of each tier by its name.
func (s storageStatus) bytes() map[string]int64 {
	all := map[string]int64{}
	for _, t := range s.Data.Tiers {
		all[t.Tier] = t.Bytes
	}
	return all
}

// writeTierSizes writes the sizes as Markdown.
func writeTierSizes(w io.Writer, sizes []tierSize) {
	fmt.Fprintln(w, "| set | samples | raw, B a sample | 1m, B a sample | 1m ÷ raw | 1h, B a sample | 1h ÷ raw | rolling up, ns a sample |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|---:|")
	for _, s := range sizes {
		n := float64(s.samples)
		raw, minutes, hours := float64(s.bytes["raw"]), float64(s.bytes["1m"]), float64(s.bytes["1h"])
		fmt.Fprintf(w, "| %s | %.2f M | %.4f | %.4f | %.3f | %.4f | %.3f | %.1f |\n", s.name, n/1e6,
			raw/n, minutes/n, minutes/raw, hours/n, hours/raw, float64(s.cpu.Nanoseconds())/n)
	}
}

// writeTierOutcomes writes the queries as Markdown. Ratios are those of wall time.
func writeTierOutcomes(w io.Writer, o rollupOptions, outcomes []tierOutcome) {
	fmt.Fprintf(w, "\n%d series of 15 s, %d days, cold:\n\n", o.series, o.days)
	fmt.Fprintln(w, "| query | tiers, ms | CPU, ms | raw, ms | CPU, ms | raw ÷ tiers | VictoriaMetrics, ms | ratio |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|---:|")
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	for _, x := range outcomes {
		fmt.Fprintf(w, "| %s | %.2f | %.2f | %.2f | %.2f | %.1f |", x.name, ms(x.tiers.wall), ms(x.tiers.cpu), ms(x.raw.wall), ms(x.raw.cpu), ratio(x.raw.wall, x.tiers.wall))
		if o.vm == "" {
			fmt.Fprintln(w, " – | – |")
			continue
		}
		fmt.Fprintf(w, " %.2f | %.1f |\n", ms(x.vm.wall), ratio(x.vm.wall, x.tiers.wall))
	}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(1, b)) }
