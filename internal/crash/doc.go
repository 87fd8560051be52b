// Package crash holds the tests that break the database on purpose: a workload
// through both doors on a file system in memory, cut off at every file
// operation, and with every file operation failing once. What was acknowledged
// is kept in a ledger and compared with what is found after reopening.
package crash
