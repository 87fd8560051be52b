// Package background runs a server's background jobs, such as cuts and merges, and
// records their outcome: which job fails, since when, why, and when it is retried.
// Every step of every job goes through Job.Run, so that failures are counted,
// logged, reported and retried in the same way.
package background
