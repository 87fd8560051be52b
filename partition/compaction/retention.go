package compaction

import (
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// RetentionTarget returns the floor for a retention period: the start of the
// partition that holds nowMs - retentionMs, so that a partition is dropped only when
// all its samples are too old. It returns NoFloor if the retention is 0 or less.
func RetentionTarget(nowMs, retentionMs int64) int64 {
	oldest := model.SubTime(nowMs, retentionMs)
	if retentionMs <= 0 || oldest < model.MinTime {
		return manifest.NoFloor
	}
	return block.Raw.PartitionStart(oldest)
}

// PlanRetention returns the edit that moves the retention floor to target and drops
// the blocks entirely below it, if there is anything to do. Samples below the floor
// in other blocks are hidden from then on, and dropped when those are merged. Blocks
// with invalid times only, which older versions accepted, are dropped too.
//
// refusedGen delays the floor for tiers made from raw data: it is the last
// generation that may have samples below target that are not merged yet. The floor
// stays while an L0 or the WAL has generations up to it. 0 never delays it.
func PlanRetention(s *manifest.State, target int64, refusedGen uint64) (manifest.Edit, bool) {
	floor := max(s.Floor, target)
	if refusedGen > 0 && s.WALLow <= refusedGen {
		floor = s.Floor
	}
	var e manifest.Edit
	for _, b := range s.Sorted() {
		if b.Level == block.L0 && b.MinGen <= refusedGen {
			floor = s.Floor
		}
	}
	for _, b := range s.Sorted() {
		if !manifest.KeptAbove(floor).Overlaps(b.Info.TimeRange()) {
			e.Drop = append(e.Drop, b.Name)
		}
	}
	if floor > s.Floor {
		e.Floor = &floor
	}
	return e, e.Floor != nil || len(e.Drop) > 0
}
