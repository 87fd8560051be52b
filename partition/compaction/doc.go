// Package compaction merges many blocks into few. It defines the Candidates for a
// merge, the Plan made from them, the Merge that executes it, and retention.
//
//	Candidates ─▶ PlanMerge or PlanFinal ─▶ Plan ─▶ Merge ─▶ Merged.Edit ─▶ Set.Publish
//
// Plans are pure functions of block descriptions; only Merge reads and writes.
package compaction
