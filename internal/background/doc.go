// Package background runs the steps of work that a server does on its own, such
// as cuts and merges, and keeps their outcome: which job fails, since when, why,
// and when it is tried again. Every step of every job goes through Job.Run, so
// that a failure is counted, logged, shown and repeated in one way.
package background
