// Package log is the contract between the database and its log: the Frame, one
// record of one shard; the payloads that frames carry; Log, to which a database
// appends them; and Recovery, from which the next process replays them.
//
//	Store.Scan ─▶ Recovery ─ Generations, Replay ─▶ Recovery.Open ─▶ Log ─ Reserve, Append, Wait
//	                                                                  │
//	                                        PrepareRotate, Rotate ────┴──── Release
//
// Package wal keeps a log in files; package logtest keeps one in memory, for tests.
//
// # Positions
//
// LSNs rise by one from frame to frame. Rotate ends a generation at an LSN: a cut
// writes exactly the frames of the generations before it to a block. So the
// contents of a block are a function of log positions alone: neither the clock nor
// the reason of the cut has a part in them.
//
// Frames of a shard are replayed in the order of their LSNs, frames of different
// shards concurrently. A generation can be replayed on its own, because every
// series is defined in it before it is used. Slots are valid in a shard and a
// generation only.
//
// # Payloads
//
// A payload has a fixed layout for each type of frame, and each has an Append
// and a Decode function:
//
//	samples, histograms, exemplars: the columns of keys, then the values
//	series:                         count, then definitions, each against the one before it
//	metadata:                       count, then metric, type, unit, help
//	tombstone:                      range, count, then matchers
//	deletion:                       number, then a tombstone
//	deletion end:                   number
//
// They are drawn beside their functions and in docs/format.md. Bytes that cannot
// have been written by this package are ErrCorrupt; decoders check each count
// against the bytes that remain before they allocate.
package log
