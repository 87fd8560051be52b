// Package partition holds the immutable half of the database: block files with
// their index, the MANIFEST that says which blocks count, the set of open
// blocks, the planner and the merger, tombstones and retention.
//
// # Blocks
//
// A block is one file, written front to back once by a Writer and then only
// read, by a Block. It can be read by ranges, so it may live in an object
// store as well.
//
//	┌────────────────────────────────────────────────────────────────────┐
//	│ header: magic "tsdbblck" (8) │ version (4) │ CRC of both (4)        │
//	├────────────────────────────────────────────────────────────────────┤
//	│ values … │ timestamps … │ directory page                            │ repeated
//	│ exemplar page, now and then                                        │
//	├────────────────────────────────────────────────────────────────────┤
//	│ dictionaries: pages of label values                                │
//	│ postings: pages of lists of ordinals                               │
//	│ series table: pages of label sets │ its fences                     │
//	│ identities: 256 of 16 bytes │ CRC (4), repeated                     │
//	│ name fences │ names │ tenants                                       │
//	│ directory fences │ exemplar fences │ metadata                       │
//	├────────────────────────────────────────────────────────────────────┤
//	│ tail: section table │ footer │ trailer                              │ twice
//	└────────────────────────────────────────────────────────────────────┘
//
// The section table lists {section id, encoding id, offset, length, CRC}; the
// footer repeats level, partition, generations and inputs, and counts; the
// trailer is {table length (4), footer length (4), version (4), CRC of the tail
// so far (4), magic "tsdbtail" (8)}. The tail stands twice so that no single
// damaged byte makes a block disappear.
//
// Fixed-size numbers are little-endian, all others varints as encoding/binary
// has them, signed ones in zigzag form. Every checksum is a CRC-32C of stored
// bytes: a frame's in its directory page, a page's in its fence, a section's in
// the section table. Fences are found through sections, sections through the
// tail, so every byte of a block lies under a checksum or a magic number.
//
// A chunk is one kind (floats, histograms) of one series in one window of the
// partition. Its columns are timestamps, which chunks with equal ones share,
// values, and, where a sample has one, start timestamps. Columns of at most 20
// bytes lie in the directory page; those of short chunks and other short ones
// lie together in groups, each one zstd frame; every other column is a frame of
// its own. Beside a long column of plain floats the directory page notes their
// minimum, maximum and sum (since version 2 of the container), and
// the column itself may say how to read it from the middle on (since version 3).
// The former are a part of the page that is compressed by itself (since version
// 4): most readers want samples, and do not decompress it.
//
// An unknown version, section, encoding, flag or codec is an error, never a
// guess. Whatever was in a file that the checksums accept still cannot make a
// reader panic or allocate without bound: counts and lengths are compared with
// what is left of the bytes and with the named limits in format.go.
//
// Everything about bytes that are not what was written is a *DamageError, for
// which errors.Is(err, ErrCorrupt) holds. It costs what those bytes hold: a
// frame its chunks, a directory page its chunks, a page of the index the
// queries that need it.
//
// # Files
//
// The package has more than 30 files because every part of the format is one
// file that holds its encoder and its decoder: format.go the header and the
// tail, page.go, directory.go, aggregate.go, dictionary.go, postings.go, series.go,
// exemplars.go and metadata.go what lies between. writer.go, columns.go and
// index_writer.go write them; reader.go opens a block, samples.go, series_reader.go,
// iterator.go, match.go and selection.go answer from it.
package block
