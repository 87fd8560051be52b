// Package storage is the database: a log of batches, a head of the latest
// samples in memory, and the blocks that cuts and merges make of them, behind
// one Select.
//
//	Batch ─▶ apply: reserve log bytes ─▶ gate ─▶ per shard: log frame, head append ─▶ wait for the sync ─▶ Receipt
//	cut:     gate, split log and head ─▶ one L0 block ─▶ one edit: block in, frozen head out, log shorter
//	merge:   plan (pure) ─▶ new blocks ─▶ one edit: outputs in, inputs out ─▶ sweep of files
//	View:    {active head, frozen head, block set, retention floor}, immutable, counted, replaced in one step
//
// A data directory holds LOCK, MANIFEST, reserve, wal/, l0/, raw/<day>/, lost+found/
// and snapshots/. One process has it open at a time. The files are drawn in
// docs/format.md.
//
// # Parts
//
// DB is a facade over parts. Each owns its lock and knows only the parts to its
// left.
//
//	views ◀── catalog ◀── writer ◀── compactor ◀── roller ◀── reliever ◀── flusher ◀── DB
//	(states)  (edits)     (apply,    (merges,      (rollups)  (frees       (cuts)      (jobs, status)
//	                       freeze)    retention)               space)
//
// Background jobs run in three goroutines: watch measures space and cuts, maintain
// merges, applies retention and removes files, and roller.run makes rollups.
//
// # Tiers
//
// SelectTiered reads a rollup, and samples where it does not answer:
//
//	               day       day       day       day       day
//	coverage    [  rolled up, in one block or more  ]   [ not rolled up ]
//	series      ══════════════╡dirty╞════════════════   ─────────────────
//	            rows of block  samples,  rows of block   samples, selected
//	                           selected when needed      at once
//
// Nothing marks a bucket as dirty. Which of a series are follows, in each read, from
// what the view has that the coverage of the day does not: chunks of raw blocks that
// are not clean, samples of the head, deletions. That takes no work for series of
// which neither of these has anything on covered days, and for others reads
// directories, not columns. All samples of a dirty bucket are read, from the same
// view, so a row is never changed or added to. A damaged part of a rollup is a gap
// like a dirty bucket.
//
// # Lock order
//
// A lock is taken only while locks above it are held, never one beside it.
//
//	flusher.mu  compactor.mu  roller.mu   one cut, merge, step of a rollup at a time; held over I/O
//	     └──────────┼─────────────┘
//	       catalog.mu              one edit at a time; held over I/O; snapshots.mu is above it too
//	            │
//	       writer.gate             readers append, freezing writes; no I/O
//	       ┌────┴─────────┐
//	  views.changing   shard lock  one change of the state; one shard of the head
//	       │              │
//	   views.mu        the log's   leaves, as are flusher.ended and the lock of
//	                               pendingTombstones
//
// dirLock.mu, held over a check of LOCK, is taken under catalog.mu, and by
// sweeps. Functions whose names end in Locked need the lock of their part; where
// a check costs nothing they assert it.
//
// # Files
//
// The package has more than 30 files because its two halves, the parts above and
// the reads of a View (select, join, columns, names, exemplars, …), share the
// state and its buffers; apart, each would export these to the other. Tools for
// directories at rest are in doctor, the start's reading of one in datadir.
package storage
