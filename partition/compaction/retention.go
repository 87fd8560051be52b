package compaction

import (
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// RetentionTarget returns the floor that a retention period asks for: the start
// of the partition that holds nowMs - retentionMs, so that only partitions all
// of whose samples are too old leave. A retention of 0 or less means NoFloor.
func RetentionTarget(nowMs, retentionMs int64) int64 {
	oldest := model.SubTime(nowMs, retentionMs)
	if retentionMs <= 0 || oldest < model.MinTime {
		return manifest.NoFloor
	}
	return block.Raw.PartitionStart(oldest)
}

// PlanRetention returns the edit that moves the retention floor to target and
// drops what lies wholly below it, if there is anything to do. Samples of other
// blocks below the floor are hidden from then on, and go when those are merged.
// Blocks that hold nothing but times which no sample can have, from before those
// were refused, are dropped too.
//
// refusedGen holds the floor back for the sake of tiers made from raw data: it
// is the last generation that can have samples below target that are not merged
// yet. The floor stays while an L0 or the WAL has generations up to it;
// 0 never holds it back.
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
