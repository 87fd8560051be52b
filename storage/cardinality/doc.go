// Package cardinality keeps counts of the series of each day, and makes reports of weeks
// from them without reading an index.
//
// Store has the counts in a file of the data directory, CARDINALITY, that Put writes as a
// whole, renames into place and syncs. The file is derived from the data: without it, or if
// it is damaged, days are counted again. Next says which day to count, NewReport compares
// days. How a day is counted is the caller's business.
//
//	┌──────────────────────────────────────────────────────────────────────┐
//	│ magic "tsdbcard" (8) │ version (4)                                   │
//	├──────────────────────────────────────────────────────────────────────┤
//	│ number of names (uvarint)                                            │
//	├──────────────────────────────────────────────────────────────────────┤
//	│ length (uvarint) │ name                                              │ repeated
//	├──────────────────────────────────────────────────────────────────────┤
//	│ number of days (uvarint)                                             │
//	├──────────────────────────────────────────────────────────────────────┤
//	│ day (varint) │ flags (1) │ counted at (varint)                       │ repeated,
//	│ basis (8) │ deletion (uvarint)                                       │ oldest day first
//	│ series │ pairs │ new │ gone (uvarints)                               │
//	│ ┌──────────────────────────────────────────────────────────────────┐ │
//	│ │ flags (1) │ number of rows (uvarint)                             │ │ six tables
//	│ │ index of the name (uvarint) │ count (uvarint)                    │ │ repeated,
//	│ └──────────────────────────────────────────────────────────────────┘ │ highest count first
//	├──────────────────────────────────────────────────────────────────────┤
//	│ CRC-32C of all before (4)                                            │
//	└──────────────────────────────────────────────────────────────────────┘
//
// A day is a number of UTC days since 1970-01-01. The flag 1 of a day says that it was
// running when it was counted, that of a table that it has left rows out. Times are Unix
// seconds. Fixed-size numbers are little-endian.
package cardinality
