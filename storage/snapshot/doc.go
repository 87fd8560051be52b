// Package snapshot makes, lists and removes the snapshots of a database:
// directories in DATA/snapshots that are complete data directories of one moment. It
// knows files; which blocks and which frames belong to the moment is said by its
// caller.
//
//	snapshots/20261130T010203Z-0a1b2c3d/
//	    SNAPSHOT               what it is of; removed when a server opens the directory
//	    MANIFEST, MANIFEST.2   written from the state of the moment
//	    SEGMENTS, wal/         the log up to the moment; ended segments are links
//	    l0/, raw/<day>/, …     the blocks: links
//
// A snapshot is written under its name with the suffix .tmp, synced and renamed, and
// removed in the opposite order; Clean removes what a crash has left. A link costs no
// space until the origin removes its name. No program changes a file with two names:
// blocks are never changed, and the log copies such a segment before it repairs it.
//
// SNAPSHOT is one record, little-endian:
//
//	┌──────────────┬─────────────┬───────────────────────────┬──────────────────┐
//	│ "tsdbsnap" 8 │ version u32 │ flags u32, 1 = temporary  │ wall time ms i64 │
//	├──────────────┼─────────────┼───────────────────────────┼──────────────────┤
//	│ edit u64     │ LSN u64     │ generation u64            │ incarnation u64  │
//	├──────────────┴─────────────┴───────────────────────────┴──────────────────┤
//	│ CRC-32C of all before u32                                                 │
//	└───────────────────────────────────────────────────────────────────────────┘
//
// LSN is that of the last frame of the log, generation the highest used. An unknown
// version is an error.
package snapshot
