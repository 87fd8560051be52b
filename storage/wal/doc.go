// Package wal is the write-ahead log, the log.Log that keeps frames in files: they
// are durable before they are acknowledged, in segments that are written front to
// back. Package log has the frames and their payloads.
//
// A process appends with Log. Before it opens the log, it reads the frames of the
// previous process with Scan, once. Log's methods are safe for concurrent use, with
// the exceptions stated there.
//
// # Segment
//
// A segment is one file, <id>.wal, pre-allocated with zeros, or with stale
// data if the file is reused, so that commits write into allocated bytes:
//
//	┌──────────────┬───────┬───────┬─   ─┬─────────────────┬──────────────┐
//	│ header (32)  │ frame │ frame │  …  │ zeros or stale  │ tail (64 KiB)│
//	└──────────────┴───────┴───────┴─   ─┴─────────────────┴──────────────┘
//
// The tail is not a position but an amount: that many bytes of every segment are
// kept for deletes and marks, wherever in it those are written. Numbers are
// little-endian.
//
//	header: ┌─────────────────┬─────────────┬───────────┬────────┬───────┬─────────┐
//	        │ "TSDBWAL\n" (8) │ version u32 │ flags u32 │ id u64 │ 0 u32 │ CRC u32 │
//	        └─────────────────┴─────────────┴───────────┴────────┴───────┴─────────┘
//
// The header is durable before the first frame. Flag 1 means that the file
// held another segment before. An unknown version is an error.
//
// # Frame
//
// Frames are aligned to 8 bytes:
//
//	 0 ┌──────────┬───────────┬─────────┬──────────┐
//	   │ CRC u32  │ check u16 │ type u8 │ shard u8 │
//	 8 ├──────────┴───────────┼─────────┴──────────┤
//	   │ length u32           │ tenant u32         │
//	16 ├──────────────────────┴────────────────────┤
//	   │ LSN u64                                   │
//	24 ├───────────────────────────────────────────┤
//	   │ generation u64                            │
//	32 ├───────────────────────────────────────────┤
//	   │ synced LSN u64                            │
//	40 ├───────────────────────────────────────────┤
//	   │ last durable manifest edit u64            │
//	48 ├───────────────────────────────────────────┤
//	   │ wall time i64, Unix milliseconds          │
//	56 ├───────────────────────────────────────────┤
//	   │ payload (length bytes), zeros up to 8     │
//	   └───────────────────────────────────────────┘
//
// CRC is the CRC-32C of all bytes after it up to the end of the payload, check the
// low half of that of the header bytes after it. Both continue from the
// checksum of the segment's id, so stale frames in a reused file never validate.
//
// LSNs rise by one from frame to frame. A generation is the frames between two
// cuts; it begins in a new segment with a FrameStart and can be read on its own,
// because every series is defined in it before it is used.
//
// # Recovery
//
// Every frame records the LSN up to which all frames were durable when it was
// written, the synced LSN. The highest one found anywhere divides the log: frames
// missing or unreadable at or below it are damage, which is skipped and reported
// while all other frames are used; above it, the first hole begins the torn tail,
// which is cut off, since none of its frames was acknowledged. An idle or closing
// log records its last LSN in a mark.
//
// # List of segments
//
// A file outside the log's directory lists the segments with durable frames of
// client data, so that lost segments are noticed (see listing):
//
//	┌────────────────┬─────────────┬───────────┬────────────────┐
//	│ "tsdbsegs" (8) │ version u32 │ count u32 │ synced LSN u64 │
//	├────────────────┴─────────────┴───────────┴────────────────┤
//	│ id u64 │ generation u64 │ end of durable frames u64       │  count times,
//	│ first LSN u64 │ last LSN u64 │ first ms i64 │ last ms i64 │  by rising id
//	├───────────────────────────────────────────────────────────┤
//	│ CRC u32 of all before                                     │
//	└───────────────────────────────────────────────────────────┘
//
// The synced LSN counts like one recorded in a frame. An unknown version is an
// error.
//
// # Goroutines
//
// Reserve waits for buffer and disk space, without holding a lock. Append copies the
// frame into memory under a mutex. One goroutine at a time flushes: it seals frames,
// assigns them to segments, writes and syncs. That is a goroutine that waits for its
// frames, if none is flushing; those that wait meanwhile share the next flush, of
// flushLoop. Another goroutine, the preparer, makes the next segments.
package wal
