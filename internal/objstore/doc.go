// Package objstore stores immutable objects, such as blocks, under keys. Code
// above it does not know whether an object is a file or lies in a bucket. It is about a
// Store, the Writer of one object, an open Object, and the Identity by which
// two objects of one key are compared.
//
//	Create ─▶ Write … ─▶ Commit ─▶ Open ─▶ ReadAt, ReadRanges ─▶ Close
//	                └──▶ Abort           └▶ Head        Delete, through a Deleter
//
// A key is a slash-separated path such as raw/2026-11-21/x.tsb (see CheckKey).
// Only Dir turns keys into paths.
//
// # What a store promises
//
//   - An object is written front to back; its size need not be known before.
//     Nothing of it has to be readable before Commit, and no reader may rely on
//     a key that Commit has not returned for: after a crash a Dir has torn
//     files, which are objects to List, Head and Open. The format of an object
//     tells a whole one from a torn one, as the tail of a block does.
//   - Commit makes the object durable, on condition that no other object has
//     the key. If an identical one has, Commit succeeds: a merge that is done
//     again writes the same bytes under the same key. If a different one has,
//     the error is a ConflictError with both identities, and the object that was there
//     stays.
//   - An object never changes. An open Object can be read until Close, but only a
//     Dir keeps it readable after Delete; elsewhere it takes the Store's Grace.
//   - List finds what nothing refers to. It may lag behind, so it never answers
//     whether an object exists: Head and Open do.
//
// A Conditional store also has objects that are replaced by compare-and-swap (PutIf), such
// as the head of an archive.
//
// # Deletion
//
// The block set counts the references to a block. Once the last is gone and the
// MANIFEST no longer lists the block, it gives the key to a Deleter, the only
// caller of Delete for committed objects that may have had readers. The Deleter
// waits for the Grace of the store and tries a key that cannot be deleted again,
// at growing intervals; no other key waits for it. A writer takes back an
// object that no edit names yet by Delete itself.
//
// # Implementations
//
// Dir keeps objects as files. A file is written in place, under its final name,
// in calls of 256 KiB, and synced every 16 MiB and at the end, so that the last
// sync is short; then the directories that lead to it are synced. If the name is
// taken the file is written beside it, with TempSuffix, and Commit decides. Dir
// also moves objects of unknown origin to lost+found (SetAside). Package
// objstoretest has a store in memory, with faults, and the tests that every
// implementation passes.
//
// Two readers of blocks look at files beside a store, because files are what
// they are asked about: tsdb check lists every file of the block directories,
// and tsdb inspect --file opens any file (OpenFile). Repair reads the blocks of
// a directory through a Dir and writes only the MANIFEST.
//
// Package s3 below keeps objects in a bucket. It holds nothing open, so readers in other
// processes have its Grace; what it leaves unfinished no List shows (Uploads).
package objstore
