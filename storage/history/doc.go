// Package history keeps marks of a database: earlier states of its MANIFEST, whose blocks
// stay readable. It defines the Store, its Marks and the purges, which delete from all
// marks before them.
//
//	history/
//	    marks/<number>-<ms>.marks   a group: one or more marks, in the form of a MANIFEST
//	    PURGES, PURGES.2            tombstones of deletions that purge, in the same form
//	    l0/, raw/<day>/, …          blocks that an edit has dropped and a mark pins
//
// # Marks
//
// A group is a file of states (manifest.Sequence): the first record is a snapshot, each
// other one the edit that leads to the next mark. Number and wall time of a record are
// those of the mark. A group is written under a temporary name and renamed; marks are
// appended and synced. It ends after maxGroupMarks, after an eighth of the time that
// history is kept, at a restart, and after a failed write, whose number is not used again.
// Groups are dropped as a whole, oldest first: a mark exists as long as the file of its
// group.
//
// # Blocks
//
// A block that a mark lists is pinned. While the MANIFEST lists it, it stays where it is.
// The sweep that would delete it renames it into history instead (Store is a
// blockset.Keeper), under a name with the CRC of its tail, because names of blocks may be used
// again. When the last group that pins a block is dropped, the file is deleted.
//
// After a crash Open counts from the files alone: a block that no group pins is deleted, a
// mark whose blocks are not all there is left out. If a group is damaged, its marks up to
// the damage can be read, and no block is deleted until the group has left, since the
// unread marks may pin it.
//
// # Purges
//
// A purge is a tombstone with the generation of its deletion. A mark whose log ends before
// that, so that no cut has applied the deletion to it, is read with the tombstone added.
// Both copies are written before a purge is acknowledged. If neither can be read, marks
// might show what was purged, so all are given up.
package history
