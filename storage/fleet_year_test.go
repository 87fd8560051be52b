package storage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/storage"
)

// Strategy: a fleet lives for months in virtual time on the real storage: hosts come and
// go, some agents are hours or days late, series are deleted, a rule keeps one environment
// for three days, samples leave after 30 days and hours stay. TSDB_FLEET=SERIESxDAYS sets
// the size (600x365 is the year of docs/benchmarks.md). Invariants at the end of each
// month, after a restart: bytes that cuts, merges, deletions and rules write of samples ÷
// those that cuts bring stay ≤ 5; open blocks stay bounded; a start opens each listed
// block once and reads a few KiB of each, beside the MANIFEST and the log.
func TestYearOfAFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine at a time")
	}
	size := os.Getenv("TSDB_FLEET")
	if size == "" {
		size = "60x62"
	}
	a, b, _ := strings.Cut(size, "x")
	series, err1 := strconv.Atoi(a)
	days, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil || series < 10 || days < 31 {
		t.Fatalf("TSDB_FLEET=%s is not SERIESxDAYS", size)
	}
	f := &fleetYear{t: t, mem: vfs.NewMem(), r: rand.New(rand.NewPCG(3, 4)), series: series}
	f.must(f.mem.MkdirAll("data"))
	f.clock = vfs.NewManualClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	f.open()
	t.Log("| month | samples, M | MB of blocks | blocks of samples | rollups | samples: written ÷ cut | hours: written ÷ listed | files opened | MB read at a start |")
	for day := 1; day <= days; day++ {
		f.day(day)
		if day%30 == 0 {
			f.report(day / 30)
		}
	}
	f.db.CloseUncut()
	doctortest.Check(t, f.mem, "data")
}

// fleetYear is the fleet and its database.
type fleetYear struct {
	t      *testing.T
	mem    *vfs.Mem
	db     *storage.DB
	clock  *vfs.ManualClock
	r      *rand.Rand
	series int

	samples, deletions int
	written, cuts      atomic.Int64 // bytes of blocks of samples, and of those that cuts wrote
	rolled             atomic.Int64 // bytes of rollups
	opened, read       atomic.Int64 // files and bytes of the last start
}

// seriesPerHost and fleetStep are those of the simulation: few and far between, since what
// is measured are blocks and bytes in proportion.
const (
	seriesPerHost = 10
	fleetStep     = 15 * 60_000
)

func (f *fleetYear) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// open opens the database and counts the work of the start.
func (f *fleetYear) open() {
	f.t.Helper()
	if f.db != nil {
		f.db.CloseUncut()
		f.mem = f.mem.Clone()
	}
	f.opened.Store(0)
	f.read.Store(0)
	var opening atomic.Bool
	fsys := vfs.NewFault(f.mem)
	fsys.SetHook(func(o vfs.Op) error {
		switch {
		case o.Kind == vfs.OpWrite && strings.Contains(o.Name, ".tsb"):
			switch {
			case strings.Contains(o.Name, "/1h/"):
				f.rolled.Add(int64(o.Len))
			case strings.Contains(o.Name, "/l0/"):
				f.cuts.Add(int64(o.Len))
				fallthrough
			default:
				f.written.Add(int64(o.Len))
			}
		case o.Kind == vfs.OpOpen && opening.Load():
			f.opened.Add(1)
		case o.Kind == vfs.OpRead && opening.Load():
			f.read.Add(int64(o.Len))
		}
		return nil
	})
	opening.Store(true)
	dev := labels.MustNewMatcher(labels.MatchEqual, "env", "dev")
	var err error
	f.db, err = storage.Open(context.Background(), fsys, "data", storage.Options{
		Clock: f.clock, Seed: 1, AliasSeed: 1, ReserveBytes: 4096, CacheBytes: -1, WALSegmentBytes: 1 << 20, RetentionMs: 30 * model.DayMs,
		TierRetentionMs: map[block.Tier]int64{block.Hour: 0},
		RetentionRules:  []storage.RetentionRule{{Selectors: [][]*labels.Matcher{{dev}}, Keep: map[block.Tier]int64{block.Raw: 3 * model.DayMs, block.Hour: 60 * model.DayMs}}},
	})
	f.must(err)
	opening.Store(false)
}

// labelsOf returns the labels of a series of a host. Every third host is of env dev.
func (f *fleetYear) labelsOf(host, generation, series int) labels.Labels {
	return labels.FromStrings("__name__", fmt.Sprint("m", series), "env", []string{"dev", "prod", "prod"}[host%3], "host", fmt.Sprintf("h%d-%d", host, generation))
}

// day writes a day in eight parts, and lets the background work after each.
func (f *fleetYear) day(day int) {
	ctx := context.Background()
	hosts := f.series / seriesPerHost
	batch := f.db.NewBatch("test", model.DefaultTenant)
	for part := range 8 {
		now := f.clock.Now().UnixMilli()
		batch.Reset()
		for host := range hosts {
			generation := (day + host) / 50 // a host lives 50 days
			from := now
			switch {
			case host%20 == 7 && part < 7: // an agent that sends once a day
				continue
			case host%20 == 7:
				from -= 7 * 3 * 3_600_000
			}
			for s := range seriesPerHost {
				ls := f.labelsOf(host, generation, s)
				ref, err := batch.Resolve(model.Hash{Hi: uint64(host)<<16 | uint64(generation), Lo: uint64(s)}, ls)
				f.must(err)
				for at := from + fleetStep; at <= now+3*3_600_000; at += fleetStep {
					batch.Float(ref, at, 0, float64(f.r.IntN(1000)))
				}
			}
		}
		f.samples += batch.Samples()
		_, err := batch.Commit(ctx)
		f.must(err)
		f.pass(3 * time.Hour)
	}
	if day%9 == 0 { // what one host sent lately is deleted
		host := f.r.IntN(hosts)
		now := f.clock.Now().UnixMilli()
		m := labels.MustNewMatcher(labels.MatchRegexp, "host", fmt.Sprintf("h%d-.*", host))
		f.must(f.db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: now - 5*model.DayMs, Max: now}, m))
		f.deletions++
	}
}

// pass lets time pass and the background do what is due.
func (f *fleetYear) pass(d time.Duration) {
	ctx := context.Background()
	f.clock.Advance(d)
	f.db.WatchStep(ctx)
	f.must(f.db.Retain(ctx))
	for _, step := range []func(context.Context, bool) (bool, error){f.db.MergeStep, f.db.RollStep} {
		for {
			worked, err := step(ctx, false)
			if f.must(err); !worked {
				break
			}
		}
	}
	f.db.Sweep(ctx)
}

// report restarts, checks the bounds and prints a line of the table.
func (f *fleetYear) report(month int) {
	f.open()
	blocks, err := f.db.Blocks()
	f.must(err)
	raw, rollups, bytes, hours := 0, 0, int64(0), int64(0)
	for _, b := range blocks {
		bytes += b.Size
		if b.Tier == block.Raw {
			raw++
		} else {
			rollups++
			hours += b.Size
		}
	}
	amplification := float64(f.written.Load()) / float64(f.cuts.Load())
	f.t.Logf("| %d | %.2f | %.2f | %d | %d | %.2f | %.2f | %d | %.2f |", month, float64(f.samples)/1e6, float64(bytes)/1e6, raw, rollups,
		amplification, float64(f.rolled.Load())/float64(hours), f.opened.Load(), float64(f.read.Load())/1e6)
	switch {
	case amplification > 5:
		f.t.Errorf("month %d: %.2f bytes were written for each that a cut brought", month, amplification)
	case raw > 120 || rollups > 60:
		f.t.Errorf("month %d: %d blocks of samples, %d of rollups are open", month, raw, rollups)
	case f.opened.Load() > int64(len(blocks)+40):
		f.t.Errorf("month %d: a start opens %d files for %d blocks", month, f.opened.Load(), len(blocks))
	case f.read.Load() > int64(len(blocks))*8<<10+16<<20:
		f.t.Errorf("month %d: a start reads %d bytes for %d blocks", month, f.read.Load(), len(blocks))
	}
}
