// Package encoding turns columns of values into bytes and back: timestamps and
// start timestamps, floats, native histograms, buckets of rollups; and it holds the small coders that
// all files share: varints, CRC-32C, zstd frames.
//
// Everything is a pure function over slices. AppendX(dst, …) appends to dst and
// returns it; DecodeX(dst, src, n) appends the n values of the column src. src is
// exactly one column: its length and its number of values are recorded in the
// directory that points at it. dst[:len(dst)] is never touched, nothing is retained,
// a nil dst works. All functions are safe for concurrent use.
//
// Decoders trust nothing: any bytes give values or an error that wraps ErrCorrupt,
// never a panic, and memory is bounded by n and by the length of src. Decoders do
// not detect every changed byte: the checksums of the files do.
//
// Values come back bit for bit. The bytes are a function of the arguments: no
// clock, no randomness, no map order.
//
// Byte order is little-endian throughout. The bytes of each column are drawn in
// docs/format-columns.md and beside their coder. The ids in them are a closed
// set (see column.go): an id keeps its meaning for ever, an unknown one is an
// error.
//
// The package has more than 30 files because its columns are made of each other: columns
// of histograms and of buckets hold columns of integers and floats, a float column becomes
// integers, tokens or exceptions, an integer column may hold a shorter one. All work in one
// scratch and pass plans of encoding around; separate packages would export both.
package encoding
