// Package rollup makes the rollups: it plans which days are rolled up or folded, and
// reads and writes their blocks. Package storage calls it, holds the version that a
// step reads, and publishes its edit.
//
//   - Plan is a pure function of the MANIFEST's state: it returns the next Step
//     (plan.go, plan_fold.go).
//   - Run executes one: roll.go makes the buckets of a day from its L2s, fold.go
//     writes the rows of several days into one block (source.go has what both
//     share).
//   - Result.Edit is the edit that publishes what was made (edit.go).
//
// A day is rolled up from its L2s alone. What comes later is newer than the entry of
// the day says, and is read from the raw blocks until the day is rolled up again. So
// nothing has to be marked when samples or deletions arrive, and a step that is lost
// in a crash is planned again.
package rollup
