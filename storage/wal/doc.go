// Package wal is the write-ahead log: frames of whole write batches, durable
// before they are acknowledged, in segments that are written front to back.
//
// A process appends with Log and reads what the process before left with Scan,
// once, before it opens the log. Log's methods may be called by many
// goroutines; see there for the exceptions.
//
// # Segment
//
// A segment is one file, <id>.wal, filled with zeros (or with what it held
// before, if it was used before) when it is made, so that commits write into
// allocated bytes:
//
//	┌──────────────┬───────┬───────┬─   ─┬─────────────────┬──────────────┐
//	│ header (32)  │ frame │ frame │  …  │ zeros or stale  │ tail (64 KiB)│
//	└──────────────┴───────┴───────┴─   ─┴─────────────────┴──────────────┘
//
// The tail is no place but an amount: as many bytes of every segment are left
// to deletes and marks, wherever those come to lie. Numbers are little-endian.
//
//	header: ┌─────────────────┬─────────────┬───────────┬────────┬───────┬─────────┐
//	        │ "TSDBWAL\n" (8) │ version u32 │ flags u32 │ id u64 │ 0 u32 │ CRC u32 │
//	        └─────────────────┴─────────────┴───────────┴────────┴───────┴─────────┘
//
// The header is durable before the first frame. Flag 1 says that the file held
// another segment before. A version this program does not know is an error.
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
// CRC is the CRC-32C of all bytes behind it up to the end of the payload, check
// the low half of that of the header's bytes behind it. Both continue from the
// checksum of the segment's id, so stale frames in a reused file never validate.
//
// LSNs rise by one from frame to frame. A generation is the frames between two
// cuts; it begins in a new segment with a FrameStart and can be read on its own,
// because every series is defined in it before it is used.
//
// # What a reader believes
//
// Every frame names the LSN up to which all was durable when it was written.
// The highest one named anywhere divides the log: what is missing or unreadable
// at or below it is damage, which is skipped and reported while everything else
// is used; above it, the first hole begins the torn tail, which is cut: none of
// that was acknowledged. An idle or closing log names its last LSN in a mark.
//
// # List of segments
//
// A file outside the log's directory lists the segments with durable frames of
// a client's data, so that segments that are gone are missed (see listing):
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
// The synced LSN counts as named by a frame. A version that is not known is an
// error.
//
// # Who waits for what
//
// Reserve waits for buffer and for disk space, before any lock. Append copies
// into memory under a short mutex. One goroutine seals frames, places them in
// segments, writes and syncs; whoever waits meanwhile shares its next round.
// Another goroutine makes the next segments.
package wal
