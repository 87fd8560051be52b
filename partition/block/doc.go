// Package block reads and writes blocks, the immutable files of the database,
// each with chunks of samples, or of the buckets of a rollup, and an index of their
// series.
//
// # Blocks
//
// A block is one file. A Writer writes it once, front to back; a Block reads it.
// It is read by ranges, so it may also be an object of an object store.
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
//	│ directory fences │ exemplar fences │ metadata │ generations         │
//	├────────────────────────────────────────────────────────────────────┤
//	│ tail: section table │ footer │ trailer                              │ twice
//	└────────────────────────────────────────────────────────────────────┘
//
// The section table lists {section id, encoding id, offset, length, CRC}; the
// footer repeats tier, level, partition, generations and inputs, counts, and state of
// the MANIFEST for a repair without one (Repeated; rules since version 6); the trailer is {table length (4), footer length (4), version (4), CRC of the tail
// so far (4), magic "tsdbtail" (8)}. The tail is written twice so that no single
// damaged byte loses the block.
//
// Fixed-size numbers are little-endian; all others are varints of
// encoding/binary, zigzag if signed. Every checksum is a CRC-32C of stored bytes:
// that of a frame is in its directory page, that of a page in its fence, that of
// a section in the section table. Fences are found through sections, and sections
// through the tail, so every byte of a block is covered by a checksum or is part
// of a magic number.
//
// A chunk is one kind (floats, histograms) of one series in one window of the
// partition. Its columns are timestamps, which chunks with equal ones share,
// values and, if any sample has one, start timestamps. Columns of at most 20
// bytes are stored in the directory page; those of short chunks and other short
// ones are stored in groups, each one zstd frame; every other column is a frame
// of its own. For a long column of plain floats the directory page holds the
// minimum, maximum and sum (since version 2 of the container), and the column may
// have restart points from which it can be decoded (since version 3). The
// aggregates are a separately compressed part of the page (since version 4), so
// that readers of samples need not decompress them.
//
// A block of a rollup (since version 5) spans up to 64 days. Its chunks hold the buckets
// of a series in whole days, as many as fit: a column of times and counts, which
// chunks with equal ones share, and one of values. Or they have no columns, and mark
// days whose samples, in blocks of the raw tier, stand in for buckets. The section of
// generations (since version 5) has the newest generation of every series, so that
// readers of rollups know which series a merge has changed.
//
// An unknown version, section, encoding, flag or codec is an error, never a
// guess. A file with valid checksums and malicious content cannot make a reader
// panic or allocate without bound: counts and lengths are checked against the
// remaining bytes and the named limits in format.go.
//
// Damaged bytes are reported as a *DamageError, for which errors.Is(err,
// ErrCorrupt) holds. Damage loses only what the bytes hold: a frame or a
// directory page loses its chunks, a page of the index fails the queries that
// need it.
//
// # Files
//
// The package has more than 30 files because every part of the format has a file
// of its own, with its encoder and its decoder: format.go has the header, tail.go and
// repeated.go the tail; page.go, directory.go, column_ref.go, flags.go, aggregate.go,
// dictionary.go, postings.go, series.go, exemplars.go, metadata.go and generations.go
// have the parts between. writer.go, writer_samples.go, buckets.go, columns.go and
// index_writer.go write a block.
// reader.go opens one; samples.go, series_reader.go, bucket_reader.go, iterator.go,
// match.go and selection.go read it.
package block
