// Package noncounter finds the metrics in rate and increase whose names are not
// those of counters, of which Prometheus adds an annotation to the answer.
//
// A Call is a call of rate or increase; a Set is the metrics that a run of a query
// has met in its calls, with the steps at which they have values; Kept is such a
// metric in a cached answer.
package noncounter
