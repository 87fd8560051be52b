package partition

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"tsdb/internal/model"
)

// MetricMetadata is the metadata of one metric of a tenant.
type MetricMetadata struct {
	Tenant uint32
	Metric string
	model.Metadata
}

func compareMetadata(a, b MetricMetadata) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), strings.Compare(a.Metric, b.Metric))
}

// appendMetadata appends the metadata of all metrics, sorted by tenant and
// metric, of several for one metric the last.
func appendMetadata(dst []byte, ms []MetricMetadata) []byte {
	slices.SortStableFunc(ms, compareMetadata)
	n := 0
	for _, m := range ms {
		if n > 0 && compareMetadata(ms[n-1], m) == 0 {
			n--
		}
		ms[n] = m
		n++
	}
	ms = ms[:n]
	dst = binary.AppendUvarint(dst, uint64(len(ms)))
	last := uint32(0)
	for _, m := range ms {
		dst = binary.AppendUvarint(dst, uint64(m.Tenant-last))
		last = m.Tenant
		for _, s := range []string{m.Metric, m.Type, m.Unit, m.Help} {
			dst = appendString(dst, s)
		}
	}
	return dst
}

func decodeMetadata(b []byte) ([]MetricMetadata, error) {
	r := bytesReader{b: b}
	n := r.count()
	ms := make([]MetricMetadata, 0, min(n, 1<<10))
	tenant := uint64(0)
	for range n {
		tenant += r.uvarint(math.MaxUint32)
		if tenant > math.MaxUint32 {
			r.fail("tenant out of range")
		}
		m := MetricMetadata{Tenant: uint32(tenant), Metric: r.string(maxLabelBytes)}
		m.Type, m.Unit, m.Help = r.string(maxLabelBytes), r.string(maxLabelBytes), r.string(maxLabelBytes)
		if r.err == nil && len(ms) > 0 && compareMetadata(ms[len(ms)-1], m) >= 0 {
			r.fail("not sorted")
		}
		if r.err != nil {
			break
		}
		ms = append(ms, m)
	}
	return ms, r.end("metadata")
}
