package storage

import (
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/storage/log/logtest"
)

// retentionWorld is a directory of two series and two days, with rollups of hours, on which
// retention then takes effect in each of its forms.
type retentionWorld struct {
	t     *testing.T
	start *vfs.Mem
}

type retentionCase struct {
	name string
	r    Retention
	kept string // of the samples
}

func newRetentionWorld(t *testing.T) *retentionWorld {
	rw := &retentionWorld{t: t, start: vfs.NewMem()}
	w := rw.on(rw.start)
	for i := range 2 {
		w.write(i, every(dayAt(5)+7, 60_000, 30), every(dayAt(1)+7, 60_000, 30))
	}
	w.compact()
	closeUncut(w.db)
	return rw
}

var hoursForEver = map[block.Tier]int64{block.Hour: 0}

func (rw *retentionWorld) cases() []retentionCase {
	return []retentionCase{
		{"time", Retention{TierMs: hoursForEver, RawMs: 3 * model.DayMs}, "[0:30 1:30] [0 1]"},
		{"rule", Retention{TierMs: hoursForEver, Rules: []RetentionRule{only(1, 3*model.DayMs, 0)}}, "[0:60 1:30] [0 1]"},
		{"size", Retention{TierMs: hoursForEver, MaxBytes: 1}, "[0:30 1:30] [0 1]"},
	}
}

// on opens the directory on a file system.
func (rw *retentionWorld) on(fsys vfs.FS) *tieredWorld {
	clock := vfs.NewManualClock(tieredNow)
	w := &tieredWorld{t: rw.t, ctx: rw.t.Context(), clock: clock, opts: Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096, TierRetentionMs: hoursForEver}}
	w.mem, _ = fsys.(*vfs.Mem)
	db, err := Open(w.ctx, fsys, "data", w.opts)
	must(rw.t, err)
	w.db = db
	return w
}

// settles opens the directory after a crash or fault: all samples are there, unless
// retention was seen to take effect, or those that are kept. Then retention takes effect,
// and the directory passes the check.
func (rw *retentionWorld) settles(mem *vfs.Mem, c retentionCase, seen bool, what string) {
	t := rw.t
	t.Helper()
	w := rw.on(mem)
	if got := w.counts(); got != c.kept && (seen || got != "[0:60 1:60] [0 1]") {
		t.Fatalf("%s, %s: %s, seen %v", c.name, what, got, seen)
	}
	must(t, w.db.SetRetention(t.Context(), c.r))
	w.clock.Advance(time.Minute)
	w.compact()
	if got := w.counts(); got != c.kept {
		t.Fatalf("%s, %s: later %s", c.name, what, got)
	}
	v := w.view()
	m := &rulesModel{tieredWorld: w}
	rows := m.readRows(v, block.Hour, model.TimeRange{Min: dayAt(6), Max: dayAt(0)})
	v.Release()
	if rows["0"].Len() < 1 || rows["1"].Len() < 1 {
		t.Fatalf("%s, %s: %d and %d hours", c.name, what, rows["0"].Len(), rows["1"].Len())
	}
	closeUncut(w.db)
	doctortest.Check(t, mem, "data")
	if t.Failed() {
		t.Fatalf("%s, %s", c.name, what)
	}
}

// Strategy: each file operation in turn fails once while retention by time, by rule or by
// size takes effect. Invariants after the next start: the samples are all there or those
// that are kept, and not more than was seen before; retention then takes effect, the hours
// of what has left are there, and the directory passes the check.
func TestRetentionStandsASingleFaultAtEveryOperation(t *testing.T) {
	rw := newRetentionWorld(t)
	for _, c := range rw.cases() {
		faults, finished := 0, false
		for k := int64(1); !finished && k < 400; k++ {
			mem := rw.start.Clone()
			fsys := vfs.NewFault(mem)
			var ops atomic.Int64
			var armed atomic.Bool
			fsys.SetHook(func(vfs.Op) error {
				if armed.Load() && ops.Add(1) == k {
					return []error{syscall.EIO, syscall.ENOSPC}[k%2]
				}
				return nil
			})
			w := rw.on(fsys)
			armed.Store(true)
			set := w.db.SetRetention(t.Context(), c.r)
			_, _ = w.db.Compact(t.Context()) // whether it fails does not matter
			w.db.catalog.sweep(t.Context())
			armed.Store(false)
			finished = ops.Load() < k
			closeUncut(w.db)
			rw.settles(mem.Clone(), c, set == nil, fmt.Sprintf("fault at operation %d", k))
			faults++
		}
		if t.Logf("%s: %d faults", c.name, faults); faults < 5 || !finished {
			t.Errorf("%s: %d faults, finished %v", c.name, faults, finished)
		}
	}
}

// The same for a power cut before each operation, which loses what is not synced, or keeps
// a part of its sectors.
func TestPowerCutsWhileRetentionTakesEffect(t *testing.T) {
	rw := newRetentionWorld(t)
	rng := rand.New(rand.NewSource(1))
	for _, c := range rw.cases() {
		mem := rw.start.CrashClone(vfs.CrashOptions{Mode: vfs.CrashSectors, Keep: 1, Rand: rng}) // all of it is durable
		fsys := vfs.NewFault(mem)
		fsys.Count(vfs.MutatingOps)
		w := rw.on(fsys)
		type state struct {
			op   string
			fs   *vfs.Mem
			seen bool
		}
		var mu sync.Mutex // guards states and seen
		var states []state
		seen := false
		fsys.SetHook(func(op vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			for _, mode := range []vfs.CrashOptions{{}, {Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng}} {
				states = append(states, state{op.String(), mem.CrashClone(mode), seen})
			}
			return nil
		})
		must(t, w.db.SetRetention(t.Context(), c.r))
		mu.Lock()
		seen = true
		mu.Unlock()
		_, err := w.db.Compact(t.Context())
		must(t, err)
		w.db.catalog.sweep(t.Context())
		fsys.SetHook(nil)
		closeUncut(w.db)
		early := 0
		for i, s := range states {
			if !s.seen {
				early++
			}
			if i%unlessShort(1, 5) == 0 {
				rw.settles(s.fs, c, s.seen, "power cut before "+s.op)
			}
		}
		if t.Logf("%s: %d states, %d before it was seen", c.name, len(states), early); len(states) < 10 {
			t.Errorf("%s: %d states, %d before it was seen", c.name, len(states), early)
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

// A retention that cannot be recorded is not in force: what the one before keeps is taken.
func TestRetentionThatFailsIsNotInForce(t *testing.T) {
	rw := newRetentionWorld(t)
	fault := vfs.NewFault(rw.start)
	w := rw.on(fault)
	defer closeUncut(w.db)
	must(t, w.db.SetRetention(w.ctx, Retention{TierMs: hoursForEver, RawMs: 8 * model.DayMs}))
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite {
			return syscall.EIO
		}
		return nil
	})
	if err := w.db.SetRetention(w.ctx, Retention{TierMs: hoursForEver, RawMs: 3 * model.DayMs}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("retention that cannot be recorded: %v", err)
	}
	fault.SetHook(nil)
	b := w.db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: 1}, tieredLabels(1))
	must(t, err)
	b.Float(ref, w.clock.Now().UnixMilli()-7*model.DayMs, 0, 1)
	if n := b.Rejected(); n != 0 {
		t.Error("the retention that failed refuses samples")
	}
}
