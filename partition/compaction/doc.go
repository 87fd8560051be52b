// Package compaction turns many blocks into few. It is about the Candidates, the
// Plan made of them, the Merge that carries it out, and retention.
//
//	Candidates ─▶ PlanMerge or PlanFinal ─▶ Plan ─▶ Merge ─▶ Merged.Edit ─▶ Set.Publish
//
// Plans are pure functions of block descriptions; only Merge reads and writes.
package compaction
