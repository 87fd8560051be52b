package encoding_test

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"tsdb/benchmarks/sets"
	"tsdb/encoding"
)

// BenchmarkSets reads and writes the columns of a group of each data set, a day
// in chunks of 4,096 values, and reads the same values with Prometheus'
// iterator over chunks of 120. Every figure is the sum over the columns of the
// minimum time of several interleaved rounds, so that figures stay comparable on a
// machine with other work. TSDB_RECORDING names a recording of a node_exporter that
// is used as an additional set.
func BenchmarkSets(b *testing.B) {
	o := sets.Options{Groups: 1, Start: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Span: 24 * time.Hour, Seed: 1}
	all := []sets.Set{sets.CPUOnly(o), sets.DevOps(o), sets.Nodes(o), sets.Sensors(o), sets.Uniform(o)}
	if file := os.Getenv("TSDB_RECORDING"); file != "" {
		all = append(all, sets.Recording(file, o.Start))
	}
	for _, set := range all {
		b.Run("set="+set.Name, func(b *testing.B) {
			series, err := set.Group(0)
			if err != nil {
				b.Fatal(err)
			}
			var minTime [5]time.Duration
			samples, full, fast, xor := 0, 0, 0, 0
			for b.Loop() {
				minTime, samples, full, fast, xor = [5]time.Duration{}, 0, 0, 0, 0
				for _, s := range series {
					for at := 0; at < len(s.Values); at += 4096 {
						end := min(at+4096, len(s.Values))
						c := newColumns(b, s.Times[at:end], s.Values[at:end])
						for k, d := range c.minTimes(setRounds) {
							minTime[k] += d
						}
						samples += end - at
						full += len(c.full)
						fast += len(c.fast)
						for _, x := range c.chunks {
							xor += len(x.Bytes())
						}
					}
				}
			}
			for k, unit := range []string{"full-decode-ns/sample", "fast-decode-ns/sample", "chunkenc-ns/sample", "full-encode-ns/sample", "fast-encode-ns/sample"} {
				b.ReportMetric(float64(minTime[k])/float64(samples), unit)
			}
			b.ReportMetric(float64(full)/float64(samples), "full-B/sample")
			b.ReportMetric(float64(fast)/float64(samples), "fast-B/sample")
			b.ReportMetric(float64(xor)/float64(samples), "chunkenc-B/sample")
			b.ReportMetric(float64(minTime[2])/float64(minTime[0]), "chunkenc/full")
			b.ReportMetric(0, "ns/op")
		})
	}
}

const setRounds = 20

// columns are values in all their forms.
type columns struct {
	vs         []float64
	full, fast []byte
	chunks     []*chunkenc.XORChunk
}

func newColumns(b *testing.B, ts []int64, vs []float64) *columns {
	c := &columns{vs: vs}
	c.full, _ = encoding.AppendFloats(nil, vs, encoding.Full, 0)
	c.fast, _ = encoding.AppendFloats(nil, vs, encoding.Fast, 0)
	for at := 0; at < len(vs); at += 120 {
		x := chunkenc.NewXORChunk()
		a, err := x.Appender()
		if err != nil {
			b.Fatal(err)
		}
		for i := at; i < min(at+120, len(vs)); i++ {
			a.Append(0, ts[i], vs[i])
		}
		c.chunks = append(c.chunks, x)
	}
	return c
}

// minTimes runs each operation rounds times and returns its minimum time.
func (c *columns) minTimes(rounds int) (minTime [5]time.Duration) {
	out, buf := make([]float64, 0, len(c.vs)), make([]byte, 0, 9*len(c.vs)+100)
	var it chunkenc.Iterator
	for k := range minTime {
		minTime[k] = math.MaxInt64
	}
	for range rounds {
		for k, f := range []func(){
			func() { out, _ = encoding.DecodeFloats(out[:0], c.full, len(c.vs)) },
			func() { out, _ = encoding.DecodeFloats(out[:0], c.fast, len(c.vs)) },
			func() {
				out = out[:0]
				for _, x := range c.chunks {
					it = x.Iterator(it)
					for it.Next() == chunkenc.ValFloat {
						_, v := it.At()
						out = append(out, v)
					}
				}
			},
			func() { buf, _ = encoding.AppendFloats(buf[:0], c.vs, encoding.Full, 0) },
			func() { buf, _ = encoding.AppendFloats(buf[:0], c.vs, encoding.Fast, 0) },
		} {
			start := time.Now()
			f()
			minTime[k] = min(minTime[k], time.Since(start))
		}
	}
	return minTime
}
