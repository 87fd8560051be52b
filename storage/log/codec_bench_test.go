package log

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tsdb/encoding"
)

// SetBytes counts rows here: MB/s reads as million rows a second.

// cpuTime returns the processor time the process has used, which other load on
// the machine does not change.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func perRow(b *testing.B, start time.Duration, rows int) float64 {
	return float64((cpuTime() - start).Nanoseconds()) / float64(b.N*rows)
}

func sampleRows(n int) (slots []uint32, ts []int64, vs []float64) {
	rng := rand.New(rand.NewSource(1))
	at := int64(1_700_000_000_000)
	for i := range n {
		if i%500 == 0 {
			at += rng.Int63n(15000) // the next target's scrape
		}
		slots = append(slots, uint32(i))
		ts = append(ts, at)
		vs = append(vs, rng.Float64())
	}
	return slots, ts, vs
}

func BenchmarkAppendSamples(b *testing.B) {
	for _, n := range []int{125, 8192} {
		b.Run(fmt.Sprintf("samples=%d", n), func(b *testing.B) {
			slots, ts, vs := sampleRows(n)
			var dst []byte
			b.SetBytes(int64(n))
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				dst = AppendSamples(dst[:0], slots, ts, vs, nil)
			}
			b.ReportMetric(float64(len(dst))/float64(n), "bytes/sample")
			b.ReportMetric(perRow(b, start, n), "cpu-ns/sample")
		})
	}
}

func BenchmarkDecodeSamples(b *testing.B) {
	for _, n := range []int{125, 8192} {
		b.Run(fmt.Sprintf("samples=%d", n), func(b *testing.B) {
			slots, ts, vs := sampleRows(n)
			src := AppendSamples(nil, slots, ts, vs, nil)
			var c SampleColumns
			b.SetBytes(int64(n))
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				if err := DecodeSamples(src, &c); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(perRow(b, start, n), "cpu-ns/sample")
		})
	}
}

func BenchmarkAppendSeries(b *testing.B) {
	for _, n := range []int{125, 2000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			defs := fleetSeries(n)
			var dst []byte
			b.SetBytes(int64(n))
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				dst = encoded(AppendSeries(dst[:0], defs))
			}
			b.ReportMetric(float64(len(dst))/float64(n), "bytes/series")
			b.ReportMetric(perRow(b, start, n), "cpu-ns/series")
		})
		b.Run(fmt.Sprintf("series=%d/zstd", n), func(b *testing.B) {
			src := encoded(AppendSeries(nil, fleetSeries(n)))
			var dst []byte
			b.SetBytes(int64(n))
			start := cpuTime()
			for b.Loop() {
				dst = encoding.AppendZstd(dst[:0], src)
			}
			b.ReportMetric(float64(len(dst))/float64(n), "bytes/series")
			b.ReportMetric(perRow(b, start, n), "cpu-ns/series")
		})
	}
}

func BenchmarkDecodeSeries(b *testing.B) {
	const n = 2000
	src := encoded(AppendSeries(nil, fleetSeries(n)))
	b.SetBytes(n)
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		if err := DecodeSeries(src, func(SeriesDef) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(perRow(b, start, n), "cpu-ns/series")
}
