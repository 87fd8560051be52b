package block

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"tsdb/internal/model"
	"tsdb/partition/format"
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

// appendMetadata appends the metadata of all metrics, sorted by tenant and metric.
// The last of several for one metric wins.
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
			dst = format.AppendString(dst, s)
		}
	}
	return dst
}

func decodeMetadata(b []byte) ([]MetricMetadata, error) {
	r := format.Reader{B: b}
	n := r.Count()
	ms := make([]MetricMetadata, 0, min(n, 1<<10))
	tenant := uint64(0)
	for range n {
		tenant += r.Uvarint(math.MaxUint32)
		if tenant > math.MaxUint32 {
			r.Fail("tenant out of range")
		}
		m := MetricMetadata{Tenant: uint32(tenant), Metric: r.Text(maxLabelBytes)}
		m.Type, m.Unit, m.Help = r.Text(maxLabelBytes), r.Text(maxLabelBytes), r.Text(maxLabelBytes)
		if r.Err == nil && len(ms) > 0 && compareMetadata(ms[len(ms)-1], m) >= 0 {
			r.Fail("not sorted")
		}
		if r.Err != nil {
			break
		}
		ms = append(ms, m)
	}
	return ms, r.End("metadata")
}
