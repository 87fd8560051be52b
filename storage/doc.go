// Package storage is the database: a log of batches, a head of the latest
// samples in memory, and the blocks that cuts and merges make of them, behind
// one Select.
//
//	Batch ─▶ apply: reserve log bytes ─▶ gate ─▶ per shard: log frame, head append ─▶ wait for the sync ─▶ Receipt
//	cut:     gate, split log and head ─▶ one L0 block ─▶ one edit: block in, frozen head out, log shorter
//	merge:   plan (pure) ─▶ new blocks ─▶ one edit: outputs in, inputs out ─▶ sweep of files
//	View:    {active head, frozen head, block set, retention floor}, immutable, counted, replaced in one step
//
// A data directory holds LOCK, MANIFEST, reserve, wal/, l0/, raw/<day>/ and
// lost+found/. One process has it open at a time. The files are drawn in
// docs/format.md.
package storage
