package compaction

const (
	SliceSamples = sliceSamples
	L0Stuck      = l0Stuck
)

var CompareSeries = compareSeries
