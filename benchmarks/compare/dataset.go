package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/remote"
	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// firstDay is the start of the data sets. It never changes, so that directories
// can be reused, and it is old enough for every server to cache all answers.
var firstDay = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// dataset is a set that queries run on.
type dataset struct {
	name  string
	set   sets.Set
	fleet *fleet.Fleet // what is written in the place of set, if not nil: it needs no memory
	end   time.Time    // of the last samples, jitter aside
	about string       // describes the samples: sets with equal texts are equal
}

// datasets returns all sets by name: hosts of TSBS' cpu-only over a day, and
// targets under node_exporter over six hours.
func datasets(hosts, targets int) map[string]dataset {
	const day, fleetSpan, seed = 24 * time.Hour, 6 * time.Hour, 1
	return map[string]dataset{
		"cpu": {
			name:  "cpu",
			set:   sets.CPUOnly(sets.Options{Groups: hosts, Start: firstDay, Span: day, Seed: seed}),
			end:   firstDay.Add(day),
			about: fmt.Sprintf("TSBS cpu-only, %d hosts, %s from %s\n", hosts, day, firstDay),
		},
		"fleet": {
			name:  "fleet",
			set:   sets.Nodes(sets.Options{Groups: targets, Start: firstDay, Span: fleetSpan, Seed: seed}),
			end:   firstDay.Add(fleetSpan),
			about: fmt.Sprintf("node_exporter fleet, %d targets, %s from %s\n", targets, fleetSpan, firstDay),
		},
	}
}

// completeSuffix is the suffix of the file beside a directory that says that the
// directory holds a whole set. Its content is dataset.about.
const completeSuffix = ".complete"

// load makes sure that dir holds a set, settled, in a server's files. An
// incomplete set is written again.
func load(ctx context.Context, s server.Server, d dataset, dir string) error {
	mark := dir + completeSuffix
	there, err := os.ReadFile(mark)
	if err == nil && string(there) == d.about {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(os.RemoveAll(mark), os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	begin := time.Now()
	p, _, err := server.Start(ctx, s, dir)
	if err != nil {
		return err
	}
	defer p.Kill()
	sources, err := d.sources()
	if err != nil {
		return err
	}
	report, err := remote.Send(ctx, p.URL+server.WritePath, sources)
	if err != nil {
		return p.Fail(fmt.Errorf("after %s: %w", report, err))
	}
	fmt.Fprintf(os.Stderr, "%s, %s: %s\n", d.name, s.Name, report)
	if _, err := s.Settle(ctx, p, dir); err != nil {
		return p.Fail(err)
	}
	p.Kill()
	if s.Tidy != nil {
		if err := tidy(ctx, s, dir); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "%s, %s: loaded and settled in %.0f s\n", d.name, s.Name, time.Since(begin).Seconds())
	return os.WriteFile(mark, []byte(d.about), 0o644)
}

// sources returns the requests that write the set.
func (d dataset) sources() ([]remote.Source, error) {
	if d.fleet != nil {
		return d.fleet.Sources(), nil
	}
	source, err := inTime(d.set)
	return []remote.Source{source}, err
}

// tidy runs a server on its tidied files until its own background work is done:
// Prometheus checks once a minute whether there is something to compact.
func tidy(ctx context.Context, s server.Server, dir string) error {
	if err := s.Tidy(dir); err != nil {
		return err
	}
	p, _, err := server.Start(ctx, s, dir)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := p.Idle(ctx, 70*time.Second); err != nil {
		return p.Fail(err)
	}
	return nil
}
