package window

import (
	"testing"
	"time"

	commonmodel "github.com/prometheus/common/model"

	"tsdb/benchmarks/sets"
	"tsdb/encoding"
	"tsdb/query/noncounter"
	"tsdb/query/steps"
)

// BenchmarkDecodeRate decodes the counters of a machine of the fleet, six hours
// every 15 s, and takes their rates over five minutes at each minute. Every
// figure is the sum over the series of the least time of some rounds.
func BenchmarkDecodeRate(b *testing.B) {
	start := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	set := sets.Nodes(sets.Options{Groups: 1, Start: start, Span: 6 * time.Hour, Seed: 1})
	series, err := set.Group(0)
	if err != nil {
		b.Fatal(err)
	}
	w := &Windows{Grid: steps.Grid{Start: start.Add(5 * time.Minute).UnixMilli(), Step: 60_000, N: 355}, Width: 300_000}
	var (
		known        BoundsCache
		scratch      Scratch
		out          testColumn
		vs           []float64
		decode, both time.Duration
		samples      int
	)
	for b.Loop() {
		decode, both, samples = 0, 0, 0
		for _, s := range series {
			if !noncounter.IsCounterName(s.Labels.Get(commonmodel.MetricNameLabel)) {
				continue
			}
			col, _ := encoding.AppendFloats(nil, s.Values, encoding.Full, 0)
			p := &Points{Windows: w, host: quiet{}}
			var leastDecode, leastBoth time.Duration
			for k := range 20 {
				began := time.Now()
				if vs, err = encoding.DecodeFloats(vs[:0], col, len(s.Values)); err != nil {
					b.Fatal(err)
				}
				decoded := time.Since(began)
				out.reset(w.N)
				in := scratch.dropStale(Samples{T: s.Times, V: vs, Shared: true})
				p.t, p.v, p.rising = in.T, in.V, in.rising
				p.Bounds = known.Of(w, in, &scratch.Bounds)
				if err := Kernels["rate"](p, out.v); err != nil {
					b.Fatal(err)
				}
				took := time.Since(began)
				if k == 0 || decoded < leastDecode {
					leastDecode = decoded
				}
				if k == 0 || took < leastBoth {
					leastBoth = took
				}
			}
			decode, both = decode+leastDecode, both+leastBoth
			samples += len(s.Values)
		}
	}
	b.ReportMetric(float64(decode)/float64(samples), "decode-ns/sample")
	b.ReportMetric(float64(both)/float64(samples), "decode+rate-ns/sample")
	b.ReportMetric(0, "ns/op")
}
