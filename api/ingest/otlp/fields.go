package otlp

import "tsdb/api/ingest/wire"

// Tags (field number and wire type) of opentelemetry.proto.collector.metrics.v1 and
// opentelemetry.proto.metrics.v1.
const (
	tagResourceMetrics = 1<<3 | wire.Bytes // ExportMetricsServiceRequest

	tagResource          = 1<<3 | wire.Bytes // ResourceMetrics
	tagScopeMetrics      = 2<<3 | wire.Bytes
	tagResourceSchemaURL = 3<<3 | wire.Bytes

	tagResourceAttribute = 1<<3 | wire.Bytes // Resource

	tagScope          = 1<<3 | wire.Bytes // ScopeMetrics
	tagMetric         = 2<<3 | wire.Bytes
	tagScopeSchemaURL = 3<<3 | wire.Bytes

	tagScopeName      = 1<<3 | wire.Bytes // InstrumentationScope
	tagScopeVersion   = 2<<3 | wire.Bytes
	tagScopeAttribute = 3<<3 | wire.Bytes

	tagMetricName    = 1<<3 | wire.Bytes // Metric
	tagDescription   = 2<<3 | wire.Bytes
	tagUnit          = 3<<3 | wire.Bytes
	tagGauge         = 5<<3 | wire.Bytes
	tagSum           = 7<<3 | wire.Bytes
	tagHistogram     = 9<<3 | wire.Bytes
	tagExpHistogram  = 10<<3 | wire.Bytes
	tagSummary       = 11<<3 | wire.Bytes
	tagDataPoint     = 1<<3 | wire.Bytes // Gauge, Sum, Histogram, ExponentialHistogram, Summary
	tagTemporality   = 2<<3 | wire.Varint
	tagMonotonic     = 3<<3 | wire.Varint
	tagPointStart    = 2<<3 | wire.Fixed64 // all data points
	tagPointTime     = 3<<3 | wire.Fixed64
	tagPointCount    = 4<<3 | wire.Fixed64 // those of histograms and summaries
	tagPointSum      = 5<<3 | wire.Fixed64
	tagNumberDouble  = 4<<3 | wire.Fixed64 // NumberDataPoint
	tagNumberExample = 5<<3 | wire.Bytes
	tagNumberInt     = 6<<3 | wire.Fixed64
	tagNumberAttr    = 7<<3 | wire.Bytes
	tagNumberFlags   = 8<<3 | wire.Varint

	tagHistCounts  = 6<<3 | wire.Bytes // HistogramDataPoint, packed
	tagHistCount1  = 6<<3 | wire.Fixed64
	tagHistBounds  = 7<<3 | wire.Bytes // packed
	tagHistBound1  = 7<<3 | wire.Fixed64
	tagHistExample = 8<<3 | wire.Bytes
	tagHistAttr    = 9<<3 | wire.Bytes
	tagHistFlags   = 10<<3 | wire.Varint

	tagExpAttr      = 1<<3 | wire.Bytes // ExponentialHistogramDataPoint
	tagExpScale     = 6<<3 | wire.Varint
	tagExpZeroCount = 7<<3 | wire.Fixed64
	tagExpPositive  = 8<<3 | wire.Bytes
	tagExpNegative  = 9<<3 | wire.Bytes
	tagExpFlags     = 10<<3 | wire.Varint
	tagExpExample   = 11<<3 | wire.Bytes
	tagExpOffset    = 1<<3 | wire.Varint // Buckets
	tagExpCounts    = 2<<3 | wire.Bytes  // packed
	tagExpCount1    = 2<<3 | wire.Varint

	tagSummaryQuantile = 6<<3 | wire.Bytes // SummaryDataPoint
	tagSummaryAttr     = 7<<3 | wire.Bytes
	tagSummaryFlags    = 8<<3 | wire.Varint
	tagQuantile        = 1<<3 | wire.Fixed64 // ValueAtQuantile
	tagQuantileValue   = 2<<3 | wire.Fixed64

	tagExampleTime   = 2<<3 | wire.Fixed64 // Exemplar
	tagExampleDouble = 3<<3 | wire.Fixed64
	tagExampleSpan   = 4<<3 | wire.Bytes
	tagExampleTrace  = 5<<3 | wire.Bytes
	tagExampleInt    = 6<<3 | wire.Fixed64
	tagExampleAttr   = 7<<3 | wire.Bytes

	tagKey   = 1<<3 | wire.Bytes // KeyValue
	tagValue = 2<<3 | wire.Bytes

	tagString  = 1<<3 | wire.Bytes // AnyValue
	tagBool    = 2<<3 | wire.Varint
	tagInt     = 3<<3 | wire.Varint
	tagDouble  = 4<<3 | wire.Fixed64
	tagArray   = 5<<3 | wire.Bytes
	tagMap     = 6<<3 | wire.Bytes
	tagBytes   = 7<<3 | wire.Bytes
	tagElement = 1<<3 | wire.Bytes // ArrayValue, KeyValueList
)

// Values of AggregationTemporality.
const (
	temporalityDelta      = 1
	temporalityCumulative = 2
)

// flagNoRecordedValue is the bit of a data point's flags that says that its series has
// ended: the value is a stale marker.
const flagNoRecordedValue = 1

// fields returns the set of field numbers for wire.SkipField.
func fields(numbers ...uint) (set uint32) {
	for _, n := range numbers {
		set |= 1 << n
	}
	return set
}

// The known fields of the messages; an unknown field is skipped, a known one of another
// wire type is malformed.
var (
	requestFields  = fields(1)
	resourceFields = fields(1, 2, 3)
	scopeFields    = fields(1, 2, 3)
	metricFields   = fields(1, 2, 3, 5, 7, 9, 10, 11)
	dataFields     = fields(1, 2, 3)
	numberFields   = fields(2, 3, 4, 5, 6, 7, 8)
	histFields     = fields(2, 3, 4, 5, 6, 7, 8, 9, 10)
	expFields      = fields(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	bucketFields   = fields(1, 2)
	summaryFields  = fields(2, 3, 4, 5, 6, 7, 8)
	quantileFields = fields(1, 2)
	exampleFields  = fields(2, 3, 4, 5, 6, 7)
	keyValueFields = fields(1, 2)
	anyFields      = fields(1, 2, 3, 4, 5, 6, 7)
	elementFields  = fields(1)
)
