package storage

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/storage/doctor"
	"tsdb/storage/log/logtest"
)

// Strategy: the machine stops at each file operation in turn while rules come, hide
// samples, and blocks and rollups are rewritten. Invariants after the next start: series
// of other rules have all samples; the rule's series has all or what it keeps, and not
// more than was seen before the stop; a day of hours is there in full; the directory
// passes the check.
func TestStopsAtEveryOperationWhileARuleTakesEffect(t *testing.T) {
	stop := errors.New("the machine has stopped")
	start := vfs.NewMem()
	clock := vfs.NewManualClock(tieredNow)
	opts := func() Options {
		return Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096, TierRetentionMs: map[block.Tier]int64{block.Hour: 0}}
	}
	w := &tieredWorld{t: t, ctx: t.Context(), mem: start, clock: clock, opts: opts()}
	w.open()
	for i := range 3 {
		w.write(i, every(dayAt(5)+7, 60_000, 30), every(dayAt(1)+7, 60_000, 30))
	}
	w.compact()
	closeUncut(w.db)
	rules := Retention{TierMs: map[block.Tier]int64{block.Hour: 0}, Rules: []RetentionRule{only(1, 3*model.DayMs, 0), only(2, 3*model.DayMs, 4*model.DayMs)}}
	const all, kept = "[0:60 1:60 2:60] [0 1 2]", "[0:60 1:30 2:30] [0 1 2]"
	stops, k := 0, 0
	for ; k < 400; k++ {
		mem := start.Clone()
		fsys := vfs.NewFault(mem)
		var ops atomic.Int64
		var armed atomic.Bool
		fsys.SetHook(func(vfs.Op) error {
			if armed.Load() && ops.Add(1) > int64(k) {
				return stop
			}
			return nil
		})
		db, err := Open(t.Context(), fsys, "data", opts())
		must(t, err)
		armed.Store(true)
		hidden := db.SetRetention(t.Context(), rules) == nil
		_, err = db.Compact(t.Context())
		finished := err == nil
		armed.Store(false)
		after := mem.Clone() // what is durable
		closeUncut(db)
		n := &tieredWorld{t: t, ctx: t.Context(), mem: after, clock: clock, opts: opts()}
		n.open()
		got := n.counts()
		if got != kept && (hidden || got != all) {
			t.Fatalf("stop at operation %d: %s, hidden before: %v", k, got, hidden)
		}
		must(t, n.db.SetRetention(t.Context(), rules))
		clock.Advance(time.Minute)
		n.compact()
		if got := n.counts(); got != kept {
			t.Fatalf("stop at operation %d: after the next compaction %s", k, got)
		}
		v := n.view()
		m := &rulesModel{tieredWorld: n}
		hours := m.readRows(v, block.Hour, model.TimeRange{Min: dayAt(6), Max: dayAt(0)})
		v.Release()
		if h := fmt.Sprint(hours["0"].Len(), hours["1"].Len(), hours["2"].Len()); h != "2 2 1" {
			t.Fatalf("stop at operation %d: hours %s", k, h)
		}
		closeUncut(n.db)
		rep, err := doctor.Check(t.Context(), after, "data")
		must(t, err)
		if len(rep.Damage) > 0 {
			t.Fatalf("stop at operation %d: %v", k, rep.Damage)
		}
		if finished {
			break
		}
		stops++
	}
	if stops < 20 || k == 400 {
		t.Errorf("%d stops, %d operations", stops, k)
	}
}
