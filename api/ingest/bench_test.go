package ingest

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/internal/model"
	"tsdb/storage"
)

// benchSamples is the number of samples per request, as sent by Prometheus.
const benchSamples = 2000

// fleetLabels are the 11 labels of one series of a node_exporter-like fleet.
func fleetLabels(target, series int) []string {
	return []string{
		"__name__", fmt.Sprintf("node_metric_%d_seconds_total", series/8),
		"cluster", "production-eu-west-1", "cpu", fmt.Sprint(series % 8), "datacenter", "eu-west-1a",
		"environment", "production", "instance", fmt.Sprintf("node-%05d.example.com:9100", target),
		"job", "node-exporter", "mode", "system", "os", "linux", "region", "eu-west-1", "team", "infrastructure",
	}
}

// fleet1 returns the snappy bodies that write one sample of n series.
func fleet1(t testing.TB, n int) [][]byte {
	t.Helper()
	var bodies [][]byte
	for from := 0; from < n; from += benchSamples {
		q := &prompb.WriteRequest{}
		for i := from; i < min(from+benchSamples, n); i++ {
			q.Timeseries = append(q.Timeseries, sample1(base, float64(i)+0.5, fleetLabels(i/500, i%500)...))
		}
		bodies = append(bodies, snap(marshal1(t, q)))
	}
	return bodies
}

func fleet2(t testing.TB, n int) [][]byte {
	t.Helper()
	var bodies [][]byte
	for from := 0; from < n; from += benchSamples {
		b := newBuilder2()
		help := b.symbols.Symbolize("Seconds the CPUs spent in each mode.")
		for i := from; i < min(from+benchSamples, n); i++ {
			b.add(writev2.TimeSeries{
				Samples:  []writev2.Sample{{Timestamp: base, Value: float64(i) + 0.5, StartTimestamp: base - 5000}},
				Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: help},
			}, fleetLabels(i/500, i%500)...)
		}
		bodies = append(bodies, snap(marshal2(t, b.request())))
	}
	return bodies
}

// fleetLines returns bodies of line protocol with ten fields a line, as TSBS
// writes them.
func fleetLines(n int) [][]byte {
	var bodies [][]byte
	for from := 0; from < n; from += benchSamples {
		var b []byte
		for i := from; i < min(from+benchSamples, n); i += 10 {
			b = fmt.Appendf(b, "cpu,hostname=host_%d,region=eu-west-1,datacenter=eu-west-1b,rack=67,os=Ubuntu16.10,arch=x86,team=NYC,service=7,service_version=0,service_environment=production ", i/10)
			for f, name := range [...]string{"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"} {
				if f > 0 {
					b = append(b, ',')
				}
				b = fmt.Appendf(b, "%s=%d.%di", name, (i+f)%100, f)
				b = append(b[:len(b)-3], 'i')
			}
			b = fmt.Appendf(b, " %s\n", ns)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// table is a batch with a minimal lookup, so that a benchmark measures the door.
type table struct {
	slots []tableSlot
	next  model.Ref
	n     int
	sum   float64
}

type tableSlot struct {
	hash model.Hash
	ref  model.Ref
}

func newTable(n int) *table { return &table{slots: make([]tableSlot, 1<<bitsFor(2*n))} }

func bitsFor(n int) int {
	b := 1
	for 1<<b < n {
		b++
	}
	return b
}

func (b *table) slot(h model.Hash) *tableSlot {
	for i := h.Lo; ; i++ {
		s := &b.slots[i&uint64(len(b.slots)-1)]
		if s.hash == h || s.ref == 0 {
			return s
		}
	}
}

func (b *table) Reset() { b.n = 0 }
func (b *table) LookupAll(aliases []model.Hash, refs []model.Ref) {
	for i, a := range aliases {
		refs[i] = b.slot(a).ref
	}
}
func (b *table) Resolve(alias model.Hash, _ labels.Labels) (model.Ref, error) {
	b.next++
	*b.slot(alias) = tableSlot{alias, b.next}
	return b.next, nil
}
func (b *table) Float(_ model.Ref, _, _ int64, v float64)           { b.n++; b.sum += v }
func (b *table) Histogram(model.Ref, int64, int64, model.Histogram) { b.n++ }
func (b *table) Exemplar(model.Ref, model.Exemplar)                 {}
func (b *table) Metadata(string, model.Metadata)                    {}
func (b *table) Reject(r storage.Reason, s string, _ int64, d string, _ int) {
	panic(string(r) + s + d)
}
func (b *table) Commit(context.Context) (storage.Receipt, error) {
	return storage.Receipt{Floats: b.n}, nil
}

// steps returns a function per door that decompresses and decodes a body into b,
// without HTTP.
func (in *Ingest) steps(t testing.TB, b batch) map[string]func([]byte) {
	t.Helper()
	charge := in.budget.NewCharge()
	q := &writeRequest{batch: b,
		write1: newDecoder1(in.write1, in.opts.Limits), write2: newDecoder2(in.write2, in.opts.Limits, &in.metadata)}
	f := &influxRequest{batch: b, decoder: influxDecoder{labels: labelSet{limits: in.opts.Limits}, seed: in.seed, precision: precisions1[""]}}
	ctx := context.Background()
	check := func(r storage.Receipt, err error) {
		if err != nil || r.Floats != benchSamples || r.Rejected != nil {
			t.Fatal(r, err)
		}
	}
	decodeSnappy := func(b []byte) []byte {
		q.body.charge = charge
		decoded, err := q.body.decodeSnappy(ctx, b, in.limit)
		if err != nil {
			t.Fatal(err)
		}
		return decoded
	}
	return map[string]func([]byte){
		"remote-write-1": func(b []byte) {
			q.write1.src = decodeSnappy(b)
			check(store(ctx, q.batch, &q.write1))
			q.write1.release()
			q.body.release()
			charge.Release()
		},
		"remote-write-2": func(b []byte) {
			q.write2.src = decodeSnappy(b)
			check(store(ctx, q.batch, &q.write2))
			q.write2.release(true)
			q.body.release()
			charge.Release()
		},
		"influx": func(b []byte) {
			f.decoder.src = b
			check(store(ctx, f.batch, &f.decoder))
			f.decoder.release()
		},
	}
}

func fleets(t testing.TB, n int) map[string][][]byte {
	return map[string][][]byte{"remote-write-1": fleet1(t, n), "remote-write-2": fleet2(t, n), "influx": fleetLines(n)}
}

var doorNames = []string{"remote-write-1", "remote-write-2", "influx"}

// cpuTime returns the CPU time of the process, which other load on the machine
// affects less than wall time.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// SetBytes counts samples, so the MB/s column reads as millions of samples a
// second.
func BenchmarkDecode(b *testing.B) {
	const n = 100_000
	bodies := fleets(b, n)
	for _, name := range doorNames {
		b.Run("door="+name+"/series=100k/samples=2000", func(b *testing.B) {
			in := New(Options{Seed: 42})
			step := in.steps(b, newTable(n))[name]
			for _, body := range bodies[name] {
				step(body)
			}
			b.SetBytes(benchSamples)
			b.ReportAllocs()
			i, begin := 0, cpuTime(b)
			for b.Loop() {
				step(bodies[name][i%len(bodies[name])])
				i++
			}
			b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/benchSamples, "cpu-ns/sample")
		})
	}
}

// BenchmarkWrite measures a door from the HTTP handler to storage on an in-memory
// file system.
func BenchmarkWrite(b *testing.B) {
	const n = 100_000
	bodies := fleets(b, n)
	headers := map[string][]string{"remote-write-1": {"Content-Type", type1}, "remote-write-2": {"Content-Type", type2}, "influx": nil}
	paths := map[string]string{"remote-write-1": "/api/v1/write", "remote-write-2": "/api/v1/write", "influx": "/write"}
	for _, name := range doorNames {
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
			b.SetBytes(benchSamples)
			b.ReportAllocs()
			i, begin := 0, cpuTime(b)
			for b.Loop() {
				post(bodies[name][i%len(bodies[name])])
				i++
			}
			b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/benchSamples, "cpu-ns/sample")
		})
	}
}

// BenchmarkNewSeries measures the first sample of a series: parse, check, sort,
// resolve.
func BenchmarkNewSeries(b *testing.B) {
	const n = 20_000
	bodies := fleets(b, n)
	for _, name := range doorNames {
		b.Run("door="+name, func(b *testing.B) {
			in := New(Options{Seed: 42})
			b.ReportAllocs()
			i, begin := 0, cpuTime(b)
			var step func([]byte)
			for b.Loop() {
				if i%len(bodies[name]) == 0 {
					step = in.steps(b, newTable(n))[name]
				}
				step(bodies[name][i%len(bodies[name])])
				i++
			}
			b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/benchSamples, "cpu-ns/series")
		})
	}
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	bodies := fleets(t, benchSamples)
	for _, name := range doorNames {
		in := New(Options{Seed: 42})
		step := in.steps(t, newTable(benchSamples))[name]
		body := bodies[name][0]
		step(body)
		step(body)
		if n := testing.AllocsPerRun(20, func() { step(body) }); n > 0 {
			t.Errorf("%s: %v allocations in a request of %d samples", name, n, benchSamples)
		}
	}
}
