// Package noncounter finds metrics in calls of rate and increase whose names do not
// follow the naming of counters. Prometheus adds an annotation to the answer for
// each.
//
// A Call is a call of rate or increase. A Set holds the metrics that a run of a
// query has found in its calls, with the steps at which they have values. Kept is
// such a metric in a cached answer.
package noncounter
