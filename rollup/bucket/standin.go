package bucket

import "tsdb/internal/model"

// minSamplesPerBucket is the mean number of samples of a bucket from which on buckets
// take fewer bytes than the samples.
const minSamplesPerBucket = 8

// StandIn reports whether the samples of a series on a day take fewer bytes than their
// buckets of a resolution, so that the samples take the place of the buckets. Buckets
// of an hour are always made: they are few, and long ranges should not read samples.
func StandIn(resolution int64, samples uint64, buckets int) bool {
	return resolution < model.HourMs && samples < minSamplesPerBucket*uint64(buckets)
}
