package manifest

import (
	"cmp"
	"encoding/binary"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/partition/block"
)

// maxKeyBytes bounds each end of a KeyRange. Longer keys are truncated, so ranges
// that differ only in later bytes seem to touch.
const maxKeyBytes = 256

// KeyRange is the range of series keys in a block, both ends included. A key is
// an order-preserving encoding of (tenant, metric name, other labels), truncated
// to maxKeyBytes. The zero value stands for all keys.
type KeyRange struct {
	First, Last string
}

// IsZero reports whether r is the zero value, which stands for all keys.
func (r KeyRange) IsZero() bool { return r.First == "" && r.Last == "" }

// Disjoint reports whether the ranges are known to share no key.
func (r KeyRange) Disjoint(o KeyRange) bool {
	if r.IsZero() || o.IsZero() {
		return false
	}
	return r.Last < o.First || o.Last < r.First
}

// collides reports whether the ranges are known to share keys. Two equal ends
// that were truncated may belong to different keys.
func (r KeyRange) collides(o KeyRange) bool {
	if r.IsZero() || o.IsZero() {
		return true
	}
	return !touches(r.Last, o.First) && !touches(o.Last, r.First)
}

// touches reports whether all keys of a range that ends at last may sort before
// those of a range that begins at first.
func touches(last, first string) bool {
	return last < first || last == first && len(last) == maxKeyBytes
}

// Union returns the smallest range that holds both.
func (r KeyRange) Union(o KeyRange) KeyRange {
	if r.IsZero() || o.IsZero() {
		return KeyRange{}
	}
	return KeyRange{First: min(r.First, o.First), Last: max(r.Last, o.Last)}
}

func (r KeyRange) compare(o KeyRange) int {
	return cmp.Or(strings.Compare(r.First, o.First), strings.Compare(r.Last, o.Last))
}

// SeriesKey returns the key of a series, truncated to maxKeyBytes. Keys sort in
// the order of series in a block: every string ends with 0x00 0x00, and a 0x00
// inside it is written as 0x00 0xff, so that a string sorts before all strings
// it is a prefix of.
func SeriesKey(tenant uint32, ls labels.Labels) string {
	key := make([]byte, 4, maxKeyBytes)
	binary.BigEndian.PutUint32(key, tenant)
	key = appendKeyString(key, ls.Get(block.MetricName))
	ls.Range(func(l labels.Label) {
		if l.Name != block.MetricName && len(key) < maxKeyBytes {
			key = appendKeyString(key, l.Name)
			key = appendKeyString(key, l.Value)
		}
	})
	return string(key[:min(len(key), maxKeyBytes)])
}

func appendKeyString(key []byte, s string) []byte {
	if len(s) > maxKeyBytes {
		s = s[:maxKeyBytes]
	}
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			break
		}
		key = append(append(key, s[:i]...), 0, 0xff)
		s = s[i+1:]
	}
	return append(append(key, s...), 0, 0)
}
