package ingest

import (
	"sync/atomic"
	"unicode/utf8"

	"tsdb/internal/model"
)

// maxMetadataBytes bounds help and unit of a metric; longer ones are cut.
const maxMetadataBytes = 16 << 10

// metadataSeen remembers what remote write 2 has said about which metric, so
// that metadata that come with every series of every request are turned into
// strings only when they change. A slot holds a hash over metric and metadata;
// two metrics in one slot merely evict each other. It is safe for concurrent
// use, its zero value is empty.
type metadataSeen struct {
	slots [1 << 14]atomic.Uint64
}

// A metadataMark is an entry to be made once the metadata are stored.
type metadataMark struct{ slot, sum uint64 }

func (s *metadataSeen) has(m metadataMark) bool {
	return s.slots[m.slot%uint64(len(s.slots))].Load() == m.sum
}

func (s *metadataSeen) set(m metadataMark) {
	s.slots[m.slot%uint64(len(s.slots))].Store(m.sum)
}

// metricTypes are the words for the types of both remote-write messages, whose
// numbers agree.
var metricTypes = [...]string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}

func metricType(n uint64) string {
	if n >= uint64(len(metricTypes)) {
		n = 0
	}
	return metricTypes[n]
}

// newMetadata makes metadata of what was sent. Text that is not UTF-8 or too
// long is cut where it stops being acceptable: it is documentation.
func newMetadata(kind uint64, unit, help []byte) model.Metadata {
	return model.Metadata{Type: metricType(kind), Unit: validPrefix(unit), Help: validPrefix(help)}
}

func validPrefix(b []byte) string {
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
