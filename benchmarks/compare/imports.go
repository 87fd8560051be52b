package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/tsdb"

	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// importOptions are the sizes of what is moved.
type importOptions struct {
	tsdb    string
	targets int // of 500 series each
	days    int
	runs    int
	load    string // written beside an import
	rounds  int    // of it, each alone and beside the import
	backup  string // SERIESxDAYS of the database that is archived
	data    string // where directories are kept; "" = not kept
}

// importParts are the parts of the measurement.
var importParts = []string{"forms", "beside", "backup"}

// runImport measures imports and exports in all forms, live writes beside an import, and
// backups.
func runImport(ctx context.Context, args []string) error {
	var o importOptions
	flags := flag.NewFlagSet("compare import", flag.ExitOnError)
	flags.StringVar(&o.tsdb, "tsdb", "bin/tsdb", "the tsdb binary")
	flags.IntVar(&o.targets, "targets", 4, "targets of 500 series of 15 s that are imported")
	flags.IntVar(&o.days, "days", 1, "days of them")
	flags.IntVar(&o.runs, "runs", 3, "runs of each command; the median is printed")
	flags.StringVar(&o.load, "load", "200x10m", "TARGETSxSPAN written in a round beside an import")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of it alone and beside the import; the median is printed")
	flags.StringVar(&o.backup, "backup", "1500x1", "SERIESxDAYS of the database that is archived: floats of 7 bytes, 8,640 a series and day")
	flags.StringVar(&o.data, "data", "", "`directory` where the sources are kept for the next time (default: a temporary one, removed at the end)")
	parts := flags.String("parts", strings.Join(importParts, ","), "what is measured")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen := strings.Split(*parts, ",")
	for _, p := range chosen {
		if !slices.Contains(importParts, p) {
			return fmt.Errorf("-parts %q: one of %s", p, strings.Join(importParts, ", "))
		}
	}
	if flags.NArg() > 0 || min(o.targets, o.days, o.runs, o.rounds) < 1 || o.days > 20 {
		return errors.New("usage: compare import [-tsdb PATH] [-parts PART,…] [-targets N] [-days N] [-runs N] [-load TARGETSxSPAN] [-rounds N] [-backup SERIESxDAYS] [-data DIR], with at most 20 days")
	}
	all := func(dir string) error {
		o.data = dir
		before := loadAverage()
		for _, p := range chosen {
			var err error
			switch p {
			case "forms":
				err = o.measureForms(ctx)
			case "beside":
				err = o.measureBeside(ctx)
			case "backup":
				err = o.measureBackup(ctx)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
		}
		fmt.Printf("\nLoad of the machine: %s at the start, %s at the end.\n", before, loadAverage())
		return nil
	}
	if o.data != "" {
		return all(o.data)
	}
	return server.InEmptyDir("", all)
}

// set returns what is imported: days that are over, and stay so for the next runs.
func (o *importOptions) set() sets.Set {
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Duration(o.days+2) * day)
	return sets.Nodes(sets.Options{Groups: o.targets, Start: start, Span: time.Duration(o.days) * day, Seed: 1})
}

// kept returns a directory of o.data that write has written, now or in an earlier run of the day.
func (o *importOptions) kept(name string, write func(dir string) error) (string, error) {
	s := startOptions{data: o.data}
	return s.prepare(fmt.Sprintf("%s-%dx%d-%s", name, o.targets, o.days, time.Now().UTC().Format(time.DateOnly)), write)
}

// prometheus returns a data directory of Prometheus with the set, a block a day: a writer
// makes one.
func (o *importOptions) prometheus(ctx context.Context) (string, error) {
	return o.kept("prometheus", func(dir string) error {
		set := o.set()
		for n := range o.days {
			// The size lets every series begin at the start of the day.
			w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 3*day.Milliseconds())
			if err != nil {
				return err
			}
			if err := appendDay(ctx, w, set, n, o.days); err != nil {
				return errors.Join(err, w.Close())
			}
			if _, err := w.Flush(ctx); err != nil {
				return errors.Join(err, w.Close())
			}
			if err := w.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

// appendDay appends day n of a set that has the given number of days.
func appendDay(ctx context.Context, w *tsdb.BlockWriter, set sets.Set, n, days int) error {
	for g := range set.Groups {
		series, err := set.Group(g)
		if err != nil {
			return err
		}
		app := w.Appender(ctx)
		for _, s := range series {
			from, to := len(s.Times)*n/days, len(s.Times)*(n+1)/days
			for i := from; i < to; i++ {
				if _, err := app.Append(0, s.Labels, s.Times[i], s.Values[i]); err != nil {
					return errors.Join(err, app.Rollback())
				}
			}
		}
		if err := app.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// countSamples returns the number of samples of a set.
func countSamples(set sets.Set) (n int, err error) {
	for g := range set.Groups {
		series, err := set.Group(g)
		if err != nil {
			return 0, err
		}
		for _, s := range series {
			n += len(s.Times)
		}
	}
	return n, nil
}

// scratch calls f with the name of a directory that is not there, and removes it afterwards.
func (o *importOptions) scratch(name string, f func(dir string) error) error {
	dir := filepath.Join(o.data, name)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return f(dir)
}
