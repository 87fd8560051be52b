// Package partition is the immutable half of the database, in packages that
// import one another in one direction:
//
//	format ◀─ block ◀─ manifest ◀─ blockset ◀─ compaction
//	                      ▲
//	                    repair
//
// Package format has what all files of a data directory share: their names, the
// reader of untrusted bytes, the errors of damage. Package block writes and reads
// one block. Package manifest keeps the log of edits that says which blocks make up
// the database. Package blockset keeps those open, as versions that readers hold,
// and removes files nothing needs. Package compaction plans and carries out merges and
// retention. Package repair brings a lost MANIFEST back.
package partition
