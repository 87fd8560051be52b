package storage

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/storage/doctor"
	"tsdb/storage/log/logtest"
)

// Strategy: each file operation in turn fails once while retention by time, by rule or by
// size takes effect. Invariants after the next start: the samples are all there or those
// that are kept, and not more than was seen before; retention then takes effect, the hours
// of what has left are there, and the directory passes the check.
func TestRetentionStandsASingleFaultAtEveryOperation(t *testing.T) {
	start := vfs.NewMem()
	clock := vfs.NewManualClock(tieredNow)
	hours := map[block.Tier]int64{block.Hour: 0}
	opts := func() Options {
		return Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096, TierRetentionMs: hours}
	}
	w := &tieredWorld{t: t, ctx: t.Context(), mem: start, clock: clock, opts: opts()}
	w.open()
	for i := range 2 {
		w.write(i, every(dayAt(5)+7, 60_000, 30), every(dayAt(1)+7, 60_000, 30))
	}
	w.compact()
	closeUncut(w.db)
	for _, c := range []struct {
		name string
		r    Retention
		kept string
	}{
		{"time", Retention{TierMs: hours, RawMs: 3 * model.DayMs}, "[0:30 1:30] [0 1]"},
		{"rule", Retention{TierMs: hours, Rules: []RetentionRule{only(1, 3*model.DayMs, 0)}}, "[0:60 1:30] [0 1]"},
		{"size", Retention{TierMs: hours, MaxBytes: 1}, "[0:30 1:30] [0 1]"},
	} {
		faults, finished := 0, false
		for k := int64(1); !finished && k < 400; k++ {
			mem := start.Clone()
			fsys := vfs.NewFault(mem)
			var ops atomic.Int64
			var armed atomic.Bool
			fsys.SetHook(func(vfs.Op) error {
				if armed.Load() && ops.Add(1) == k {
					return []error{syscall.EIO, syscall.ENOSPC}[k%2]
				}
				return nil
			})
			db, err := Open(t.Context(), fsys, "data", opts())
			must(t, err)
			armed.Store(true)
			set := db.SetRetention(t.Context(), c.r)
			_, _ = db.Compact(t.Context()) // whether it fails does not matter
			db.catalog.sweep(t.Context())
			armed.Store(false)
			finished = ops.Load() < k
			closeUncut(db)
			n := &tieredWorld{t: t, ctx: t.Context(), mem: mem.Clone(), clock: clock, opts: opts()}
			n.open()
			got := n.counts()
			if got != c.kept && (set == nil || got != "[0:60 1:60] [0 1]") {
				t.Fatalf("%s, fault at operation %d: %s, retention said %v", c.name, k, got, set)
			}
			must(t, n.db.SetRetention(t.Context(), c.r))
			clock.Advance(time.Minute)
			n.compact()
			if got := n.counts(); got != c.kept {
				t.Fatalf("%s, fault at operation %d: later %s", c.name, k, got)
			}
			v := n.view()
			m := &rulesModel{tieredWorld: n}
			rows := m.readRows(v, block.Hour, model.TimeRange{Min: dayAt(6), Max: dayAt(0)})
			v.Release()
			if rows["0"].Len() < 1 || rows["1"].Len() < 1 {
				t.Fatalf("%s, fault at operation %d: %d and %d hours", c.name, k, rows["0"].Len(), rows["1"].Len())
			}
			mem2 := n.mem
			closeUncut(n.db)
			rep, err := doctor.Check(t.Context(), mem2, "data")
			must(t, err)
			if len(rep.Damage) > 0 {
				t.Fatalf("%s, fault at operation %d: %v", c.name, k, rep.Damage)
			}
			faults++
		}
		if t.Logf("%s: %d faults", c.name, faults); faults < 5 || !finished {
			t.Errorf("%s: %d faults, finished %v", c.name, faults, finished)
		}
	}
}

// On a full disk days that the bound of bytes would let go cannot be rolled up. Then they
// stay, and writes are refused; with space the days are rolled up and leave.
func TestBoundOfBytesDropsNothingOwedOnAFullDisk(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.opts.MinFreeBytes = 1 << 20
	w.restart()
	for ago := 8; ago >= 0; ago-- {
		w.write(1, every(dayAt(ago)+7, 10_000, 4000))
	}
	w.flush()
	for more := true; more; { // merge, and roll nothing up
		var err error
		more, err = w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(t, err)
	}
	w.db.catalog.sweep(w.ctx)
	raw := func() (days int, bytes int64) {
		for _, b := range w.db.manifest.State().Blocks {
			if b.Tier == block.Raw {
				days, bytes = days+1, bytes+b.Size
			}
		}
		return days, bytes
	}
	write := func() error {
		b := w.db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Lo: 9}, tieredLabels(9))
		must(t, err)
		b.Float(ref, w.clock.Now().UnixMilli(), 0, 1)
		_, err = b.Commit(w.ctx)
		return err
	}
	step := func() {
		w.clock.Advance(time.Minute)
		w.db.watchOnce(w.ctx)
		_, _ = w.db.roller.rollNext(w.ctx, false) // what it cannot do shows in what is left
		_ = w.db.Retain(w.ctx)
		w.db.catalog.sweep(w.ctx)
	}
	_, bytes := raw()
	logged, _ := w.db.wal.Bytes()
	must(t, w.db.SetRetention(w.ctx, Retention{TierMs: w.opts.TierRetentionMs, MaxBytes: bytes/2 + logged}))
	w.mem.SetCapacity(w.mem.Used())
	for range 5 {
		step()
		if n, _ := raw(); n != 9 {
			t.Fatalf("%d days of samples are left of 9 that are owed to the hours", n)
		}
	}
	if err := write(); !errors.Is(err, ErrBusy) {
		t.Errorf("a write on the full disk: %v", err)
	}
	w.mem.SetCapacity(-1)
	for range 12 {
		step()
	}
	days, _ := raw()
	if days < 2 || days > 6 {
		t.Errorf("%d days of samples are left", days)
	}
	must(t, write())
}
