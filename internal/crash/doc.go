// Package crash tests the database against power cuts and I/O errors: it runs a
// workload through both doors on a file system in memory, cuts the power before every
// file operation, and makes every file operation fail once. A ledger keeps the
// acknowledged samples and is compared with those found after reopening.
package crash
