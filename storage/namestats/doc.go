// Package namestats counts how often queries ask for each metric, and since when.
//
// Count takes a lock and a look-up, 100 to 200 ns; the table holds at most MaxNames metrics.
// The counts are kept in a file of the data directory, QUERIED, that Save writes as a
// whole, renames into place and syncs. It is a convenience: without it, or if it is
// damaged, counting begins anew, and counts since the last Save are lost in a crash.
//
//	┌──────────────────────────────────────────────────────────────────────┐
//	│ magic "tsdbqnam" (8) │ version (4)                                   │
//	├──────────────────────────────────────────────────────────────────────┤
//	│ since (varint) │ number of metrics (uvarint)                         │
//	├──────────────────────────────────────────────────────────────────────┤
//	│ length of name (uvarint) │ name │ requests (uvarint) │ last (varint) │ repeated, by name
//	├──────────────────────────────────────────────────────────────────────┤
//	│ CRC-32C of all before (4)                                            │
//	└──────────────────────────────────────────────────────────────────────┘
//
// since and last are Unix seconds. Fixed-size numbers are little-endian.
package namestats
