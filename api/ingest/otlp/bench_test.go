package otlp

import (
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
)

// fleet returns zstd bodies that write one sample of n series: 50 counters with 8 data
// points of each host, as a collector batches them.
func fleet(t testing.TB, n int) [][]byte { return encodeFleet(t, n, 8, marshal) }

func encodeFleet(t testing.TB, n, perMetric int, encode func(testing.TB, pmetric.Metrics) []byte) [][]byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var bodies [][]byte
	const perHost = 400
	for from := 0; from < n; from += doortest.FleetSamples {
		md := pmetric.NewMetrics()
		for host := from / perHost; host < (from+doortest.FleetSamples)/perHost; host++ {
			rm := md.ResourceMetrics().AppendEmpty()
			a := rm.Resource().Attributes()
			a.PutStr("service.name", "node-exporter")
			a.PutStr("service.instance.id", fmt.Sprintf("node-%05d.example.com:9100", host))
			ms := rm.ScopeMetrics().AppendEmpty().Metrics()
			for k := range perHost / perMetric {
				m := ms.AppendEmpty()
				m.SetName(fmt.Sprintf("node.metric.%d", k))
				m.SetUnit("s")
				m.SetDescription("Seconds the CPUs spent in each mode.")
				s := m.SetEmptySum()
				s.SetIsMonotonic(true)
				s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				for cpu := range perMetric {
					p := s.DataPoints().AppendEmpty()
					for i, v := range []string{"production-eu-west-1", "eu-west-1a", "production", "system", "linux", "eu-west-1", "infrastructure", fmt.Sprint(cpu)} {
						p.Attributes().PutStr([]string{"cluster", "datacenter", "environment", "mode", "os", "region", "team", "cpu"}[i], v)
					}
					p.SetStartTimestamp(nano - 5e9)
					p.SetTimestamp(nano)
					p.SetDoubleValue(float64(k) + 0.5)
				}
			}
		}
		bodies = append(bodies, e.EncodeAll(encode(t, md), nil))
	}
	return bodies
}

func step(t testing.TB) func(door.Store) doortest.Step { return stepOf(t, protobufForm) }

func stepOf(t testing.TB, f form) func(door.Store) doortest.Step {
	return func(s door.Store) doortest.Step {
		h := newHandler(s, Settings{})
		q := doortest.Acquire(t, h.door)
		charge := h.shared.Budget.NewCharge()
		return func(body []byte) {
			var err error
			if q.Decoder.src, err = q.Body.Unzstd(t.Context(), body, h.shared.Limit, charge); err != nil {
				t.Fatal(err)
			}
			if f == jsonForm {
				if q.Decoder.src, err = q.Decoder.json.transcode(t.Context(), q.Decoder.src, h.shared.Limit, charge); err != nil {
					t.Fatal(err)
				}
			}
			r, err := q.Store(t.Context())
			doortest.CheckStored(t, r, err)
			q.Decoder.Release()
			charge.Release()
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	b.Run("door=otlp/encoding=zstd/series=100k/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, fleet(b, 100_000), step(b)) })
	b.Run("door=otlp-json/encoding=zstd/series=100k/samples=2000", func(b *testing.B) {
		doortest.BenchmarkDecode(b, encodeFleet(b, 100_000, 8, marshalJSON), stepOf(b, jsonForm))
	})
	b.Run("door=otlp/encoding=zstd/series=100k/samples=2000/points=1", func(b *testing.B) {
		doortest.BenchmarkDecode(b, encodeFleet(b, 100_000, 1, marshal), step(b))
	})
}

func BenchmarkNewSeries(b *testing.B) {
	b.Run("door=otlp", func(b *testing.B) { doortest.BenchmarkNewSeries(b, fleet(b, 20_000), step(b)) })
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, which runs with -short, drops pooled decompressors")
	}
	doortest.KnownSeriesAllocateNothing(t, fleet(t, doortest.FleetSamples)[0], step(t))
}

// TestOtherFormsAllocateByRequest: over gRPC and in JSON a request of known series costs
// a few allocations, however many samples it has.
func TestOtherFormsAllocateByRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, which runs with -short, drops pooled decoders")
	}
	const most = 8
	h := newHandler(doortest.NewTable(doortest.FleetSamples), Settings{})
	var src []byte
	encodeFleet(t, doortest.FleetSamples, 8, func(t testing.TB, md pmetric.Metrics) []byte {
		src = marshal(t, md)
		return src
	})
	export := func() {
		if o, err := h.storeMessage(t.Context(), src); err != nil || o != (outcome{}) {
			t.Fatal(o, err)
		}
	}
	export()
	export()
	if n := testing.AllocsPerRun(20, export); n > most {
		t.Errorf("gRPC: %v allocations", n)
	}
	body := encodeFleet(t, doortest.FleetSamples, 8, marshalJSON)[0]
	step := stepOf(t, jsonForm)(doortest.NewTable(doortest.FleetSamples))
	step(body)
	step(body)
	if n := testing.AllocsPerRun(20, func() { step(body) }); n > most {
		t.Errorf("JSON: %v allocations", n)
	}
}
