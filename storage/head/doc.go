// Package head is the half of the database that is in memory and changes. A Head
// knows the series that are written or were of late: their labels, identity,
// aliases and index. A Buffer holds the samples of one generation, that is,
// between two cuts. The head outlives its buffers; readers with an older view
// of the database may use a buffer long after it was written to a block.
//
// # Use
//
//	ref, known := h.Alias(hash)            // or Aliases, for a whole request
//	ref, _ = h.Resolve(tenant, labels)     // the slow path; then h.SetAlias
//	...                                    // sort the samples by ref.Shard()
//	s := h.Shard(i)
//	s.Lock()
//	undefined, stale := s.CheckLocked(generation, refs, nil)
//	...                                    // append to the log, defining undefined
//	s.MarkDefinedLocked(generation, undefined)
//	s.AppendFloatsLocked(buffer, slots, ts, vs, nil)
//	s.Unlock()
//
// Everything is safe for concurrent use. A shard's lock guards its tables and
// its part of every buffer; under it a series of a request costs some tens of
// nanoseconds and nothing waits. Select, Labels and Samples take it for reading,
// a shard or a series at a time. A frozen buffer is read without it.
//
// # Tables
//
// A ref is shard (4 bits), slot (28) and epoch (32). Everything about a series is
// found by its slot, in slabs without pointers, so a million series are about a
// thousand Go objects, which are not scanned. A shard:
//
//	marks    [slot]  epoch (4)  used (4)                 what every sample checks
//	series   [slot]  identity (16)  labels (4)  tenant (4)
//	                                  │
//	text     …│ 12 │ 0  7  3  19 … │…        packed label ids: number of terms,
//	         …│ n o d e _ e x p o r t e r │…  the tenant's and the labels' terms,
//	              ▲                           uvarints; and the values of terms
//	dict     [term]  name (4)  value (4)  size (4)  hash (4)  postings (8)
//	                                                            │
//	lists    …│ 3  8  9  31  – – │ …          slots: one in place, rising lists,
//	         …│ words │ bits …   │ …          bitsets where these are smaller
//	ids      open addressing: identity ▶ slot
//
// A term is a name=value pair; the tenant is the term of a label without a name.
// Chunks of slabs, pools and arenas have a mebibyte, the first of each grows to
// that. Dictionary and label ids are only appended to: bytes once written stay as
// they are, so views of them need no lock. Data of evicted series is garbage
// until the shard is repacked.
//
// Aliases {hash (16), ref (8)} lie in open addressing in 32 parts, with a bit
// each that says whether they were used in this generation.
//
// Measured at a million series of 11 labels, 500 a target, bytes a series:
//
//	marks, series          34      postings      50, 26 once packed (first cut)
//	text                   34      identities     8
//	dictionary              2      order          8
//	alias                  41      empty state   64      together 238
//
// # Slots
//
// Series that are idle leave at a cut (Evict): condemned first, free one eviction
// later. The epoch changes when the series leaves, so CheckLocked tells batches
// that still hold its ref; and no buffer can have samples in a slot that is
// given away, because a series with samples in a buffer that is not released
// does not leave.
//
// # Samples
//
// A shard's part of a buffer has a state of 64 bytes, one cache line, for every
// slot:
//
//	t (8)  v (8)  step (4)  n (2)  flags (1)  pos (1)      end of the stream
//	minT (8)  first (4)  last (4)  extra (4)  tail (20)
//	            │          │         │
//	            ▼          ▼         ▼
//	     ┌ next (4) │ 60 bytes ┐   what few series have: closed segments, side
//	     └──────────┴──────────┘   stream, late samples, exemplars
//
// The main run takes samples that are newer than every sample of the series in
// this buffer: they come into the stream's tail (see stream for the code), and
// from there, twenty bytes at a time, into a chain of blocks. After 256 samples
// a segment is closed and the next begun. Start timestamps and histograms stand
// in a side stream beside the segment (see sideWriter).
//
// A sample that is late, or comes a second time, goes to the late buffer, sorted
// by time, where an equal key is replaced in place. A full late buffer, of 32, is
// sealed: it becomes a run and is never appended to; runs of about the same
// size are merged, so n late samples are log n runs. For one key the late buffer
// is newer than the sealed runs, newest first, and those are newer than the main
// run; model.Overwrites decides, so a stale marker never hides a number. A
// duplicate sample changes nothing, not even memory.
//
// Exemplars are bounded a series and buffer (Options.ExemplarsMax, 10): the
// oldest by time makes room. Metadata is the head's, not a buffer's: the newest
// entry of each metric, with a version for incremental reads.
package head
