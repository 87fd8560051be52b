package ingest

import (
	"net/http"
	"testing"

	"tsdb/api/ingest/doortest"
)

// BenchmarkWrite measures a door from the HTTP handler to storage on an in-memory
// file system.
func BenchmarkWrite(b *testing.B) {
	const n = 100_000
	bodies := map[string][][]byte{"remote-write-1": doortest.Fleet1(b, n), "remote-write-2": doortest.Fleet2(b, n), "influx": doortest.FleetLines(n)}
	headers := map[string][]string{"remote-write-1": {"Content-Type", type1}, "remote-write-2": {"Content-Type", type2}, "influx": nil}
	paths := map[string]string{"remote-write-1": "/api/v1/write", "remote-write-2": "/api/v1/write", "influx": "/write"}
	for _, name := range []string{"remote-write-1", "remote-write-2", "influx"} {
		b.Run("door="+name+"/series=100k/samples=2000", func(b *testing.B) {
			d := openDoor(b)
			post := func(body []byte) {
				if a := d.do("POST", paths[name], body, headers[name]...); a.code != http.StatusNoContent {
					b.Fatal(a)
				}
			}
			for _, body := range bodies[name] {
				post(body)
			}
			b.SetBytes(doortest.FleetSamples)
			b.ReportAllocs()
			i, begin := 0, doortest.CPUTime(b)
			for b.Loop() {
				post(bodies[name][i%len(bodies[name])])
				i++
			}
			b.ReportMetric(float64(doortest.CPUTime(b)-begin)/float64(b.N)/doortest.FleetSamples, "cpu-ns/sample")
		})
	}
}
