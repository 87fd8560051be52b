package compaction

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

func TestRetentionTarget(t *testing.T) {
	for _, c := range []struct{ now, retention, want int64 }{
		{partitiontest.TestDay + 5*model.HourMs, model.DayMs, partitiontest.TestDay - model.DayMs},
		{partitiontest.TestDay, model.DayMs, partitiontest.TestDay - model.DayMs},
		{partitiontest.TestDay - 1, model.DayMs, partitiontest.TestDay - 2*model.DayMs},
		{partitiontest.TestDay, 0, manifest.NoFloor},
		{partitiontest.TestDay, -5, manifest.NoFloor},
		{0, math.MaxInt64, manifest.NoFloor},
		{-1 << 63, 1, manifest.NoFloor},
	} {
		if got := RetentionTarget(c.now, c.retention); got != c.want {
			t.Errorf("now %d, retention %d: %d, want %d", c.now, c.retention, got, c.want)
		}
	}
}

func TestPlanRetention(t *testing.T) {
	s := manifest.NewState(1, 0)
	for _, b := range planSet(t, "L2:1-3@-3 L1:4-5@-3 L2:1-3@-2 L0:6-6@-3 L0:7-7@0") {
		s.Blocks[b.Name] = b.Listed
	}
	s.WALLow = 9
	gens := func(e manifest.Edit) string {
		var out []string
		for _, name := range e.Drop {
			b := s.Blocks[name]
			out = append(out, fmt.Sprintf("%v:%d-%d", b.Level, b.MinGen, b.MaxGen))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	day := func(n int64) int64 { return partitiontest.TestDay + n*model.DayMs }
	if e, ok := PlanRetention(s, day(-2), 0); !ok || *e.Floor != day(-2) || gens(e) != "L0:6-6 L1:4-5 L2:1-3" {
		t.Errorf("edit %+v: %s", e, gens(e))
	}
	for _, refused := range []uint64{6, 9} {
		if e, ok := PlanRetention(s, day(-2), refused); ok {
			t.Errorf("not merged yet, or in the WAL: %+v", e)
		}
	}
	if _, ok := PlanRetention(s, day(-2), 5); !ok {
		t.Error("held back without reason")
	}
	s.Floor = day(-1)
	if e, ok := PlanRetention(s, day(-2), 0); !ok || e.Floor != nil || len(e.Drop) != 4 {
		t.Errorf("the floor goes back, or blocks below it stay: %+v", e)
	}
	if _, ok := PlanRetention(manifest.NewState(1, 0), manifest.NoFloor, 0); ok {
		t.Error("nothing to do, and yet an edit")
	}
}
