package door

import (
	"slices"
	"unicode/utf8"

	"tsdb/internal/model"
)

// maxMetadataBytes is the length to which the help and the unit of a metric are
// truncated.
const maxMetadataBytes = 16 << 10

// MetricTypes are the names of the metric types, by their number in the messages
// of both remote-write versions.
var MetricTypes = [...]string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}

// MetricType returns the name of a metric type.
func MetricType(n uint64) string {
	if n >= uint64(len(MetricTypes)) {
		n = 0
	}
	return MetricTypes[n]
}

// MetricTypeNamed returns the name of a metric type, unknown for one that is not known.
func MetricTypeNamed(name string) string {
	if !slices.Contains(MetricTypes[:], name) {
		return MetricTypes[0]
	}
	return name
}

// NewMetadata returns the metadata of a metric. Unit and help are documentation:
// text that is too long or not UTF-8 is truncated to its longest valid prefix.
func NewMetadata(kind uint64, unit, help []byte) model.Metadata {
	return model.Metadata{Type: MetricType(kind), Unit: ValidPrefix(unit), Help: ValidPrefix(help)}
}

// ValidPrefix returns the longest valid prefix of a text, at most
// maxMetadataBytes long.
func ValidPrefix(b []byte) string {
	b = b[:min(len(b), maxMetadataBytes)]
	if utf8.Valid(b) {
		return string(b)
	}
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return string(b[:n])
}
