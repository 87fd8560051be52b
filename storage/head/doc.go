// Package head is the in-memory, mutable part of the database. A Head holds the
// recently written series: their labels, identity, aliases and index. A Buffer holds
// the samples of one generation, that is, between two cuts. The head outlives its
// buffers; readers with an older view of the database may use a buffer long after it
// was written to a block.
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
// its part of every buffer; a request holds it for some tens of nanoseconds per
// series and does not block under it. Select, Labels and Samples acquire it for
// reading, one shard or series at a time. A frozen buffer is read without it.
//
// # Tables
//
// A ref is shard (4 bits), slot (28) and epoch (32). Everything about a series is
// found by its slot, in slabs without pointers, so a million series are about a
// thousand Go objects that the garbage collector does not scan. A shard:
//
//	marks    [slot]  epoch (4)  used (4)                 checked for every sample
//	series   [slot]  identity (16)  labels (4)  tenant (4)
//	                                  │
//	text     …│ 12 │ 0  7  3  19 … │…        packed label ids: number of terms,
//	         …│ n o d e _ e x p o r t e r │…  the tenant's and the labels' terms,
//	              ▲                           uvarints; and the values of terms
//	dict     [term]  name (4)  value (4)  size (4)  hash (4)  postings (8)
//	                                                            │
//	lists    …│ 3  8  9  31  – – │ …          slots: one inline, rising lists,
//	         …│ words │ bits …   │ …          bitsets where these are smaller
//	ids      open addressing: identity ▶ slot
//
// A term is a name=value pair; the tenant is the term of a label without a name.
// Chunks of slabs, pools and arenas have 1 MiB; the first of each grows to that
// size. Dictionary and label ids are append-only: bytes once written never change,
// so views of them need no lock. Data of evicted series is garbage until the shard
// is repacked.
//
// Aliases {hash (16), ref (8), next (4), used (4)} are stored in 32 parts by hash, each
// in the order in which they were made, with an index by open addressing. next is the
// alias of the part that was looked up after this one, which mostly is the next one in
// memory: senders repeat their series in the same order. used reports whether it was
// looked up in this generation.
//
// Measured at a million series of 11 labels, 500 per target, in bytes per series:
//
//	marks, series          34      postings      50, 26 once packed (first cut)
//	text                   34      identities     8
//	dictionary              2      order          8
//	alias                  44      empty state   64      together 242
//
// # Slots
//
// A cut evicts idle series (Evict): a slot is condemned first and free one eviction
// later. Its epoch changes at the eviction, so CheckLocked detects refs to the
// evicted series. No buffer has samples in a slot that is reused, because a series
// with samples in an unreleased buffer is not evicted.
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
//	     ┌ next (4) │ 60 bytes ┐   for few series: closed segments, side
//	     └──────────┴──────────┘   stream, late samples, exemplars
//
// The main run accepts samples that are newer than every sample of the series in
// this buffer: they are written to the stream's tail (see stream for the code) and
// moved from there, twenty bytes at a time, to a chain of blocks. After 256 samples
// a segment is closed and the next begins. Start timestamps and histograms are in a
// side stream of the segment (see sideWriter).
//
// A sample that is late, or that repeats a key, goes to the late buffer, sorted by
// time, where an equal key is replaced in place. A full late buffer, of 32 samples,
// is sealed: it becomes a run and is never appended to; runs of about the same size
// are merged, so n late samples form log n runs. For one key the late buffer is
// newer than the sealed runs, newest first, and those are newer than the main run;
// model.Overwrites decides, so a stale marker never hides a number. A duplicate
// sample changes nothing and takes no memory.
//
// Exemplars are bounded per series and buffer (Options.ExemplarsMax, 10): beyond the
// bound, the oldest by time is dropped. Metadata belongs to the head, not to a
// buffer: the newest entry of each metric, with a version for incremental reads.
package head
