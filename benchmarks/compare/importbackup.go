package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// measureBackup archives a database, from its directory and from a server, and restores it.
// Rates are of the bytes of the archive, without what is in the log. The floats are random, so
// that there are many bytes of few samples: they are copied, not decoded.
func (o *importOptions) measureBackup(ctx context.Context) error {
	series, days, ok := strings.Cut(o.backup, "x")
	n, err1 := strconv.Atoi(series)
	span, err2 := strconv.Atoi(days)
	if !ok || err1 != nil || err2 != nil || n < 1 || span < 1 || span > 20 {
		return fmt.Errorf("-backup %q is not of the form SERIESxDAYS, as in 1500x1, with at most 20 days", o.backup)
	}
	set := sets.Uniform(sets.Options{Groups: n, Start: time.Now().UTC().Truncate(day).Add(-time.Duration(span+2) * day), Span: time.Duration(span) * day, Seed: 2})
	s := startOptions{data: o.data}
	db, err := s.prepare(fmt.Sprintf("archived-%s-%s", o.backup, time.Now().UTC().Format(time.DateOnly)), func(dir string) error {
		c := &contender{Server: server.TSDB(o.tsdb), dir: dir}
		defer c.end()
		_, err := c.fill(ctx, set)
		return err
	})
	if err != nil {
		return err
	}
	samples, err := countSamples(set)
	if err != nil {
		return err
	}
	files, size, err := countFiles(db)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d files with %.1f MB, %.1f M samples\n", files, float64(size)/1e6, float64(samples)/1e6)
	archived := int64(0) // bytes
	var first, again, restored []commandCost
	for range o.runs {
		err := o.scratch("archive", func(archive string) error {
			for _, costs := range []*[]commandCost{&first, &again} {
				c, err := runCommand(ctx, o.tsdb, "backup", "--from", db, "--to", archive)
				if err != nil {
					return err
				}
				*costs = append(*costs, c)
			}
			if archived, err = server.Size(archive); err != nil {
				return err
			}
			return o.scratch("restored", func(dir string) error {
				c, err := runCommand(ctx, o.tsdb, "restore", "--from", archive, "--to", dir)
				restored = append(restored, c)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	served, err := o.measureServerBackup(ctx, db)
	if err != nil {
		return err
	}
	fmt.Printf("The archive has %.1f MB.\n\n", float64(archived)/1e6)
	fmt.Printf("| command | s | CPU, s | MB/s | MB a CPU second | M samples a CPU second | peak RSS, MB |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, row := range []backupRow{{"backup --from DIR", first}, {"the same again, nothing new", again}, {"restore", restored}, {"backup --from URL", served}} {
		row.print(archived, samples)
	}
	return nil
}

// backupRow is a row of the table.
type backupRow struct {
	what  string
	costs []commandCost
}

func (r backupRow) print(bytes int64, samples int) {
	took := middle(r.costs, func(c commandCost) time.Duration { return c.took }).Seconds()
	cpu := middle(r.costs, func(c commandCost) time.Duration { return c.cpu }).Seconds()
	fmt.Printf("| %s | %.2f | %.2f | %.0f | %.0f | %.1f | %.0f |\n", r.what, took, cpu, float64(bytes)/1e6/took, float64(bytes)/1e6/cpu,
		float64(samples)/1e6/cpu, float64(middle(r.costs, func(c commandCost) int64 { return c.rss }))/1e6)
}

// measureServerBackup archives the database from a server.
func (o *importOptions) measureServerBackup(ctx context.Context, db string) (costs []commandCost, err error) {
	err = o.scratch("served", func(dir string) error {
		copied := filepath.Join(dir, "data")
		if _, err := runCommand(ctx, o.tsdb, "backup", "--from", db, "--to", filepath.Join(dir, "archive")); err != nil {
			return err
		}
		if _, err := runCommand(ctx, o.tsdb, "restore", "--from", filepath.Join(dir, "archive"), "--to", copied); err != nil {
			return err
		}
		p, _, err := server.Start(ctx, server.TSDB(o.tsdb), copied)
		if err != nil {
			return err
		}
		defer p.Kill()
		if err := p.Idle(ctx, time.Second); err != nil {
			return err
		}
		before, err := p.CPU()
		if err != nil {
			return err
		}
		for range o.runs {
			err := o.scratch("archive", func(archive string) error {
				c, err := runCommand(ctx, o.tsdb, "backup", "--from", p.URL, "--to", archive)
				costs = append(costs, c)
				return err
			})
			if err != nil {
				return err
			}
		}
		after, err := p.CPU()
		if err != nil {
			return err
		}
		fmt.Printf("The server that was archived took %.2f s of CPU a backup.\n", ((after - before) / time.Duration(o.runs)).Seconds())
		return nil
	})
	return costs, err
}
