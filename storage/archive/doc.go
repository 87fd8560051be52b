// Package archive keeps backups of databases in an object store, from which any of the
// archived moments can be restored. It is about an archive, its marks (moments that
// were backed up), and the objects that marks refer to: blocks and pieces of the log.
//
//	data directory ─▶ Backup ─▶ store ─▶ Restore ─▶ data directory
//	                             │
//	                           List
//
// One archive holds the incarnations of a database, each of which has objects of its own:
//
//	heads/<incarnation>.head                                          which marks count
//	<incarnation>/marks/<wall ms>-<edit>-<LSN>.mark                   one moment
//	<incarnation>/blocks/<name>-<bytes>-<tail CRC>.tsb                a block file
//	<incarnation>/log/<generation>-<segment>-<first>-<last>-<CRC>.frames   a piece of the log
//
// # Order
//
// Objects are written before the mark that refers to them, and the mark before the head
// that lists it. The head is replaced by compare-and-swap. So a backup that a crash ends
// leaves unreferenced objects, which the next one finds and uses: what is there
// is not sent again, after its checksums have been verified. Every object is read back
// after it was written.
//
// # Collection
//
// The head lists unreferenced objects with the time since which they are so. Those that
// are longer so than the grace are first listed as condemned, then deleted,
// then taken off the list. A backup that finds condemned objects deletes them first, so
// that none of its own is among them. One backup of an incarnation should run at a time;
// of two, the one that comes second repeats its last step.
//
// # Moments
//
// A mark has a state of the MANIFEST and the log from the low end of that state up to a
// position. A moment after it is restored from the same state and more of the log, if the
// frames up to there are archived: no block has frames that are replayed too. Wall time
// becomes a position by its running maximum over the frames. The frames between two marks
// are there if the server kept its log files long enough (wal.Options.Keep).
//
// # Damage
//
// A block that is missing, or has another size or tail than the MANIFEST lists, does not
// keep the others from being archived: the mark names it, the next backup tries it again,
// and a restore of the mark has to accept that it is not there.
//
// # Formats
//
// All fixed-width numbers are little-endian. uv is a uvarint, v a zigzag varint. The CRC,
// CRC-32C, is that of all bytes before it. An unknown version is an error.
//
//	piece ┌──────────────┬─────────────┬─────────────┬────────────────┬───────────┬──────────┐
//	      │ "tsdbflog" 8 │ version u32 │ segment u64 │ generation u64 │ first u64 │ last u64 │
//	      ├──────────────┴─────────────┴─────────────┴────────────────┴───────────┴──────────┤
//	      │ raw bytes u32 │ stored bytes u32 │ stored bytes: frames of the segment, one      │  once or more
//	      │               │                  │ zstd frame if stored < raw                    │
//	      ├──────────────────────────────────────────────────────────────────────────────────┤
//	      │ 0 u32 │ 0 u32 │ CRC u32                                                          │
//	      └──────────────────────────────────────────────────────────────────────────────────┘
//
//	mark  ┌──────────────┬─────────────┬─────────────────────────────────────────────────────┐
//	      │ "tsdbmark" 8 │ version u32 │ incarnation u64 │ wall ms v │ running max of ms v │ │
//	      │ edit uv │ low generation uv │ LSN uv │ generation uv │                           │
//	      │ MANIFEST: uv length, its bytes                                                   │
//	      │ uv pieces, each: segment uv, generation uv, first uv, last − first uv,           │
//	      │   first − LSN before uv, first ms v, last ms v, raw bytes uv, raw CRC u32,       │
//	      │   size of the object uv, its tail CRC u32                                        │
//	      │ version 2 only: uv blocks that the archive lacks, each: name string              │
//	      │ CRC u32                                                                          │
//	      └──────────────────────────────────────────────────────────────────────────────────┘
//
//	head  ┌──────────────┬─────────────┬─────────────────────────────────────────────────────┐
//	      │ "tsdbhead" 8 │ version u32 │ incarnation u64 │ changes so far uv                 │
//	      │ uv marks, each: wall ms v, edit uv, LSN uv, size uv, tail CRC u32                │
//	      │ uv unreferenced objects, each: key string, since ms v                            │
//	      │ uv condemned objects, each: key string                                           │
//	      │ CRC u32                                                                          │
//	      └──────────────────────────────────────────────────────────────────────────────────┘
package archive
