package tiers

import "tsdb/rollup/bucket"

// Functions of selectors that are not range functions of PromQL.
const (
	Timestamp  = "timestamp"        // of an instant selector: the time of the last sample
	AllSamples = "a range selector" // that is the whole query
)

// functionOf returns the function of buckets that answers a function of Read, false if
// there is none.
func functionOf(name string) (bucket.Function, bool) {
	switch name {
	case "", Timestamp:
		return bucket.Instant, true
	}
	return bucket.ParseFunction(name)
}
