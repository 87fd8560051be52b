package ingest

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/storage"
)

// fleetRequest is a way to write samples of a fleet.
type fleetRequest struct {
	name, path string
	bodies     [][]byte // of doortest.FleetSamples samples
	headers    []string
}

func fleetRequests(t testing.TB, n int) []fleetRequest {
	dataDog, _ := doortest.FleetDataDog(n)
	return []fleetRequest{
		{"remote-write-1", "/api/v1/write", doortest.Fleet1(t, n), []string{"Content-Type", type1}},
		{"remote-write-2", "/api/v1/write", doortest.Fleet2(t, n), []string{"Content-Type", type2}},
		{"influx", "/write", doortest.FleetLines(n), nil},
		{"json-lines", "/api/v1/import", doortest.FleetJSON(t, n, 1), nil},
		{"opentsdb", "/api/put", doortest.FleetPoints(n), nil},
		{"datadog", "/datadog/api/v1/series", dataDog, nil},
		{"text", textPath, doortest.FleetText(n), nil},
		{"otlp", "/v1/metrics", fleetOTLP(t, n), []string{"Content-Type", "application/x-protobuf"}},
		{"csv", "/api/v1/import/csv?format=1:time:unix_ms,2:label:instance,3:label:job,5:metric:load,4:metric:free", doortest.FleetCSV(n), nil},
	}
}

// fleetOTLP returns bodies of gauges with 8 data points each, which write one sample of n
// series.
func fleetOTLP(t testing.TB, n int) [][]byte {
	var bodies [][]byte
	for from := 0; from < n; from += doortest.FleetSamples {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutInt("service.instance.id", int64(from))
		ms := rm.ScopeMetrics().AppendEmpty().Metrics()
		for i := range doortest.FleetSamples / 8 {
			m := ms.AppendEmpty()
			m.SetName(fmt.Sprintf("node.metric.%d", i))
			points := m.SetEmptyGauge().DataPoints()
			for cpu := range 8 {
				p := points.AppendEmpty()
				p.SetTimestamp(pcommon.Timestamp(base * 1e6))
				p.SetDoubleValue(float64(cpu) + 0.5)
				p.Attributes().PutStr("mode", "system")
				p.Attributes().PutInt("cpu", int64(cpu))
			}
		}
		bodies = append(bodies, otlpRequest(t, md))
	}
	return bodies
}

// A request of known series allocates a number of objects that does not depend on its
// samples, from the handler to the log.
func TestKnownRequestsAllocateNothingASample(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector allocates")
	}
	for _, c := range fleetRequests(t, doortest.FleetSamples) {
		if c.name == "remote-write-2" {
			continue // it repeats start timestamps, and to compare those allocates
		}
		d := openDoor(t)
		post := func() {
			if a := d.do("POST", c.path, c.bodies[0], c.headers...); a.code/100 != 2 {
				t.Fatal(a)
			}
		}
		post()
		const most = doortest.FleetSamples / 20
		if n := testing.AllocsPerRun(20, post); n > most {
			t.Errorf("%s: %v allocations in a request of %d samples", c.name, n, doortest.FleetSamples)
		}
	}
}

// BenchmarkWrite measures a door from the HTTP handler to storage on an in-memory
// file system.
func BenchmarkWrite(b *testing.B) {
	const n = 100_000
	for _, c := range fleetRequests(b, n) {
		b.Run("door="+c.name+"/series=100k/samples=2000", func(b *testing.B) {
			d := openDoor(b)
			bytes := 0
			post := func(body []byte) {
				bytes += len(body)
				if a := d.do("POST", c.path, body, c.headers...); a.code/100 != 2 {
					b.Fatal(a)
				}
			}
			for _, body := range c.bodies {
				post(body)
			}
			b.SetBytes(doortest.FleetSamples)
			b.ReportAllocs()
			bytes = 0
			i, begin := 0, doortest.CPUTime(b)
			for b.Loop() {
				post(c.bodies[i%len(c.bodies)])
				i++
			}
			cpu := doortest.CPUTime(b) - begin
			b.ReportMetric(float64(cpu)/float64(b.N)/doortest.FleetSamples, "cpu-ns/sample")
			b.ReportMetric(float64(bytes)/1e6/cpu.Seconds(), "body-MB/cpu-s")
		})
	}
}

// BenchmarkNewSeries measures all that series with one sample each cost: the write, the
// cut, and the merge and the rollups that bring them to their final form.
func BenchmarkNewSeries(b *testing.B) {
	const n = 50_000
	bodies := doortest.Fleet1(b, n)
	b.ReportAllocs()
	phases := [...]string{"write", "cut", "compact"}
	var cpu [len(phases)]time.Duration
	for b.Loop() {
		b.StopTimer()
		d := openDoor(b, func(_ *Options, so *storage.Options) {
			so.WALSegmentBytes = 32 << 20
			so.TierRetentionMs = map[block.Tier]int64{block.Minute: 180 * model.DayMs, block.Hour: 0, block.Hours6: 0}
		})
		runtime.GC()
		b.StartTimer()
		for i, phase := range [...]func() error{
			func() error {
				for _, body := range bodies {
					if a := d.do("POST", "/api/v1/write", body, "Content-Type", type1); a.code != http.StatusNoContent {
						b.Fatal(a)
					}
				}
				return nil
			},
			func() error { _, err := d.db.Flush(b.Context()); return err },
			func() error { _, err := d.db.Compact(b.Context()); return err },
		} {
			begin := doortest.CPUTime(b)
			if err := phase(); err != nil {
				b.Fatal(err)
			}
			cpu[i] += doortest.CPUTime(b) - begin
		}
	}
	total := time.Duration(0)
	for i, phase := range phases {
		b.ReportMetric(float64(cpu[i])/float64(b.N)/n, phase+"-cpu-ns/series")
		total += cpu[i]
	}
	b.ReportMetric(float64(total)/float64(b.N)/n, "cpu-ns/series")
}
