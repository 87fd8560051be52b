package otlp

import (
	"maps"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.uber.org/goleak"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
	"tsdb/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nano is the time of most data points, in Unix nanoseconds.
var nano = pcommon.Timestamp(doortest.Base*1e6 + 123_456)

func newHandler(s door.Store, o Settings) *Handler {
	return New(doortest.NewShared(s), o)
}

// decode decodes a message twice, first with unknown and then with known series.
func decode(t *testing.T, o Settings, src []byte) (*doortest.Memory, outcome, error) {
	t.Helper()
	m := doortest.NewMemory()
	q, err := newHandler(m, o).door.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	var first, second outcome
	var receipt storage.Receipt
	var metadata map[string]model.Metadata // stored with the first one only
	err = doortest.Twice(t, m, func() (storage.Receipt, error) {
		q.Decoder.src = src
		r, err := q.Store(t.Context())
		receipt = r
		first, second = second, outcomeOf(q.Decoder, receipt)
		if metadata == nil {
			metadata = maps.Clone(m.MetadataOf)
		}
		return r, err
	})
	if first != second {
		t.Fatalf("first %+v, then %+v", first, second)
	}
	m.MetadataOf = metadata
	return m, second, err
}

func marshal(t testing.TB, md pmetric.Metrics) []byte {
	t.Helper()
	b, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newMetrics returns metrics of one resource and scope, and the scope's metrics.
func newMetrics(attributes map[string]any) (pmetric.Metrics, pmetric.MetricSlice) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	if err := rm.Resource().Attributes().FromRaw(attributes); err != nil {
		panic(err)
	}
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("scope")
	return md, sm.Metrics()
}

// gaugeOf adds a gauge with one data point.
func gaugeOf(ms pmetric.MetricSlice, name string, v float64) pmetric.NumberDataPoint {
	m := ms.AppendEmpty()
	m.SetName(name)
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(nano)
	p.SetDoubleValue(v)
	return p
}
