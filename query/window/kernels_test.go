package window

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/steps"
)

// quiet is a kernel's host that lets everything pass.
type quiet struct{}

func (quiet) Check() error         { return nil }
func (quiet) WarnQuantile(float64) {}

// Strange values that kernels compare, add and divide.
var strange = []float64{
	0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64,
	math.SmallestNonzeroFloat64, 1e308, -1e308, 1e-300, 1 << 53, 0.1, 3.7,
}

// randomSamples returns rising times and values of one of several tempers.
func randomSamples(r *rand.Rand) (ts []int64, vs []float64) {
	t, v, temper := int64(0), 0.0, r.IntN(6)
	for range r.IntN(200) {
		t += 15_000
		switch r.IntN(8) {
		case 0:
			t += r.Int64N(20)
		case 1:
			t += r.Int64N(400_000)
		}
		switch temper {
		case 0: // counter
			if v += float64(r.IntN(9)); r.IntN(30) == 0 {
				v = 0
			}
		case 1: // gauge
			v = r.NormFloat64() * math.Pow(10, float64(r.IntN(20)-10))
		case 2:
			v = strange[r.IntN(len(strange))]
		case 3:
			v = float64(r.IntN(4))
		case 5: // whole numbers, large ones among them
			v = float64(r.IntN(2000)-1000) * math.Exp2(float64(r.IntN(2)*r.IntN(48)))
		case 4: // constant, seldom strange
			if r.IntN(20) == 0 {
				v = strange[r.IntN(len(strange))]
			}
		}
		ts, vs = append(ts, t), append(vs, v)
	}
	return ts, vs
}

// Every kernel gives the bits that Prometheus' function gives for each window.
func TestKernelsEqualPrometheusFunctions(t *testing.T) {
	for name, kernel := range Kernels {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(400) {
				r := rand.New(rand.NewPCG(seed, 5))
				ts, vs := randomSamples(r)
				w := &Windows{
					Grid:   steps.Grid{Start: r.Int64N(1_000_000) - 100_000, Step: 1 + r.Int64N(120_000), N: 1 + r.IntN(60)},
					Moment: steps.Moment{Offset: r.Int64N(200_000) - 50_000},
					Width:  1 + r.Int64N(900_000),
				}
				p := &Points{Windows: w, Bounds: new(Bounds), t: ts, v: slices.Clone(vs), host: quiet{}}
				if r.IntN(2) == 0 { // windows of whole steps, and fewer of them than samples
					w.Step = 1 + r.Int64N(60_000)
					w.Width = w.Step * (1 + r.Int64N(20))
				}
				p.rising = risesThroughout(vs)
				if r.IntN(2) == 0 {
					p.integralBits = wholeBits(vs)
				}
				param := make([]float64, w.N)
				for i := range param {
					param[i] = r.Float64()*1.4 - 0.2
				}
				p.params = [][]float64{param}
				p.Find(w, ts)
				var c testColumn
				c.reset(w.N)
				if err := kernel(p, c.v); err != nil {
					t.Fatal(err)
				}
				for i, got := range c.v {
					want := byPrometheus(name, w, ts, vs, w.Grid.At(i), param[i])
					if math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want) && isStale(got) == isStale(want)) {
						t.Fatalf("seed %d, step %d: %v (%x), Prometheus %v (%x)", seed, i, got, math.Float64bits(got), want, math.Float64bits(want))
					}
				}
			}
		})
	}
}

// wholeBits returns how many bits the largest of whole numbers has, 0 if not all
// are.
func wholeBits(vs []float64) int {
	size := uint64(1)
	for _, v := range vs {
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return 0
		}
		size |= uint64(math.Abs(v))
	}
	return bits.Len64(size)
}

// byPrometheus evaluates one window, found by looking at every sample.
func byPrometheus(name string, w *Windows, ts []int64, vs []float64, at int64, param float64) float64 {
	var window []promql.FPoint
	for k, t := range ts {
		if end := at - w.Offset; t > end-w.Width && t <= end {
			window = append(window, promql.FPoint{T: t, F: vs[k]})
		}
	}
	if len(window) == 0 {
		return staleMarkers[0] // such a window is never evaluated
	}
	args := parser.Expressions{&parser.MatrixSelector{
		VectorSelector: &parser.VectorSelector{Offset: time.Duration(w.Offset) * time.Millisecond},
		Range:          time.Duration(w.Width) * time.Millisecond,
	}}
	out, _ := promql.FunctionCalls[name]([]promql.Vector{{{F: param}}}, promql.Matrix{{Floats: window}}, args, &promql.EvalNodeHelper{Ts: at})
	if len(out) == 0 {
		return staleMarkers[0]
	}
	return out[0].F
}

func TestStaleMarkersAreFound(t *testing.T) {
	for n := range 12 {
		for at := -1; at < n; at++ {
			vs := make([]float64, n)
			for i := range vs {
				vs[i] = strange[(i*7+n)%len(strange)]
			}
			want := n
			if at >= 0 {
				vs[at], want = staleMarkers[0], at
			}
			if got := firstStale(vs); got != want {
				t.Errorf("%v: found at %d, is at %d", vs, got, want)
			}
		}
	}
}

// Series with other times than the one before have other windows, whether they
// differ at the ends or between.
func TestBoundsAreOfTheTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	w := &Windows{Grid: steps.Grid{Start: 100_000, Step: 20_000, N: 40}, Width: 60_000}
	var known BoundsCache
	var scratch, want Bounds
	kept := 0
	var all [][]int64
	for range 20 {
		ts, _ := randomSamples(r)
		twin := slices.Clone(ts)
		if len(ts) > 2 {
			twin[1]++
		}
		all = append(all, ts, twin)
	}
	for range 2000 {
		ts := all[r.IntN(len(all))]
		shared := r.IntN(2) == 0
		if !shared {
			ts = slices.Clone(ts)
		}
		got := known.Of(w, Samples{T: ts, Shared: shared}, &scratch)
		if got != &scratch {
			kept++
		}
		want.Find(w, ts)
		if !slices.Equal(got.Lo, want.Lo) || !slices.Equal(got.Hi, want.Hi) || got.Total != want.Total || got.Read != want.Read || got.Widest != want.Widest {
			t.Fatalf("windows of %v are %v %v, want %v %v", ts, got.Lo, got.Hi, want.Lo, want.Hi)
		}
		if !shared {
			clear(ts) // what was kept is not this memory
		}
	}
	if kept < 1000 {
		t.Errorf("%d of 2000 cuts were known", kept)
	}
}

// BenchmarkKernel measures what comes after decoding: windows are found, once
// if series share their times, and evaluated at every minute. The column M/s
// counts samples, each once.
func BenchmarkKernel(b *testing.B) {
	const samples = 6 * 240
	for _, times := range []string{"own", "equal", "shared"} {
		ts, vs := make([]int64, samples), make([]float64, samples)
		for k := range ts {
			ts[k] = int64(k)*15_000 + int64(k*31%7)
			vs[k] = float64(k*k%1000 + k*997)
		}
		for _, c := range []struct {
			name    string
			minutes int64
			whole   int // as that of a span
		}{{"rate", 5, 0}, {"increase", 60, 0}, {"max_over_time", 60, 0}, {"sum_over_time", 5, 0}, {"avg_over_time", 60, 0},
			{"avg_over_time", 60, 30}, {"avg_over_time", 1, 30}, {"last_over_time", 5, 0}, {"changes", 60, 0}} {
			b.Run(fmt.Sprintf("function=%s/minutes=%d/whole=%d/times=%s", c.name, c.minutes, c.whole, times), func(b *testing.B) {
				w := &Windows{Grid: steps.Grid{Start: 300_000, Step: 60_000, N: 355}, Width: c.minutes * 60_000}
				p := &Points{Windows: w, host: quiet{}}
				var c2 testColumn
				var sc Scratch
				var known BoundsCache
				kernel := Kernels[c.name]
				ts := slices.Clone(ts)
				b.ReportAllocs()
				b.SetBytes(samples)
				for b.Loop() {
					c2.reset(w.N)
					if times == "own" {
						ts[1]++ // one millisecond later each time
						ts[1] -= ts[1] / 29_000 * 20_000
					}
					in := Samples{T: ts, V: vs, Shared: times == "shared"}
					if p.integralBits = c.whole; p.integralBits == 0 {
						in = sc.dropStale(in)
					}
					p.t, p.v, p.rising = in.T, in.V, in.rising
					p.Bounds = known.Of(w, in, &sc.Bounds)
					if err := kernel(p, c2.v); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
