package manifest

import (
	"fmt"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

func TestSpentTombstones(t *testing.T) {
	s := NewState(1, 0)
	for _, b := range []struct {
		level  block.Level
		lo, hi uint64
		day    int64
	}{{block.L2, 1, 3, 0}, {block.L1, 4, 9, 0}, {block.L2, 1, 20, 1}} {
		start := testDay + b.day*model.DayMs
		m := block.Meta{Key: block.Key{Partition: start, Level: b.level}, MinGen: b.lo, MaxGen: b.hi}
		s.Blocks[block.FileName(m)] = Listed{Info: block.Info{Name: block.FileName(m), Meta: m, MinTime: start, MaxTime: start + 5}}
	}
	s.WALLow = 30
	for i, gen := range []uint64{3, 4, 9, 10, 29, 30} {
		s.Tombstones = append(s.Tombstones, testTombstone(uint64(i+1), gen))
	}
	late := testTombstone(7, 10)
	late.Range = model.TimeRange{Min: testDay + model.DayMs, Max: testDay + 2*model.DayMs}
	s.Tombstones = append(s.Tombstones, late)
	if got := fmt.Sprint(SpentTombstones(s, nil)); got != "[1 7]" {
		t.Errorf("spent %v", got)
	}
	never := func(*Tombstone, string) bool { return false }
	if got := fmt.Sprint(SpentTombstones(s, never)); got != "[1 2 3 4 5 7]" {
		t.Errorf("spent if they concern nothing: %v", got)
	}
}
