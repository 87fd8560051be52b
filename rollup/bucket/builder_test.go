package bucket

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/util/kahansum"

	"tsdb/internal/model"
)

// Values that are compared and added in special ways.
var strange = []float64{
	0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Float64frombits(0x7ff8_0000_0000_0abc), math.Inf(1), math.Inf(-1),
	math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1e308, -1e308, 1e-300, 1 << 53, 0.1, model.LargeFloat,
	-model.LargeFloat, model.LargeFloat / 2, stale,
}

var stale = math.Float64frombits(value.StaleNaN)

// randomEntries returns entries of a random temper, with gaps and jitter.
func randomEntries(r *rand.Rand) *model.ColumnSet {
	s := new(model.ColumnSet)
	t, v, temper, other := r.Int64N(400_000)-200_000, 0.0, r.IntN(9), r.IntN(4)
	for range r.IntN(120) {
		t += 15_000
		switch r.IntN(8) {
		case 0:
			t += r.Int64N(20)
		case 1:
			t += r.Int64N(400_000)
		case 2:
			t -= 14_990
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
		case 3: // zeros of both signs among few others
			v = []float64{0, math.Copysign(0, -1), 1, -1}[r.IntN(4)]
		case 4: // constant, seldom strange
			if r.IntN(20) == 0 {
				v = strange[r.IntN(len(strange))]
			}
		case 5:
			v = r.NormFloat64()
		case 6: // integers whose sums are rounded or nearly so
			v = math.Trunc(r.NormFloat64() * float64(uint64(1)<<(44+r.IntN(20))))
		case 7: // integers among decimals
			if v = float64(r.IntN(100)); r.IntN(40) == 0 {
				v += 0.1
			}
		case 8: // integers that seldom are large
			if v = float64(r.IntN(100) - 50); r.IntN(40) == 0 {
				v = 1 << 53
			}
		}
		var h model.Histogram
		start, x := int64(0), v
		if other == 0 {
			switch r.IntN(12) {
			case 0:
				h.Float = &histogram.FloatHistogram{Sum: 3}
			case 1:
				h.Float = &histogram.FloatHistogram{Sum: stale}
			case 2:
				start = t - 5
			}
			if !h.IsZero() {
				x = 0
			}
		}
		if r.IntN(50) == 0 {
			h, x = model.Histogram{}, stale
		}
		s.Append(t, start, x, h)
	}
	return s
}

// reference is the definition of the columns, entry by entry: all it shares with
// Builder is the way to add floats.
func reference(resolution int64, s *model.ColumnSet) *model.Buckets {
	type entries struct {
		ts, starts []int64
		vs         []float64
		hs         []model.Histogram
	}
	byEnd := map[int64]*entries{}
	for k, t := range s.T {
		end := int64(math.Ceil(float64(t)/float64(resolution))) * resolution
		e := byEnd[end]
		if e == nil {
			e = new(entries)
			byEnd[end] = e
		}
		e.ts, e.starts, e.vs, e.hs = append(e.ts, t), append(e.starts, s.StartAt(k)), append(e.vs, s.V[k]), append(e.hs, s.HistogramAt(k))
	}
	var ends []int64
	for end := range byEnd {
		ends = append(ends, end)
	}
	slices.Sort(ends)
	b := new(model.Buckets)
	for _, end := range ends {
		e, i := byEnd[end], b.Grow(1)
		b.End[i] = end
		var ts []int64
		var vs, numbers []float64
		for k, h := range e.hs {
			isStale := h.IsZero() && value.IsStaleNaN(e.vs[k]) || h.IsStale()
			switch {
			case isStale && k == len(e.hs)-1:
				b.Flags[i] |= model.BucketStale
			case isStale:
			case !h.IsZero():
				b.Flags[i] |= model.BucketHistogram
			default:
				ts, vs = append(ts, e.ts[k]), append(vs, e.vs[k])
			}
			if e.starts[k] != 0 {
				b.Flags[i] |= model.BucketStart
			}
		}
		n := len(ts)
		if b.Count[i] = uint32(n); n == 0 {
			continue
		}
		b.First[i], b.T1[i], b.FirstV[i], b.V1[i] = ts[0], ts[n-1], vs[0], vs[n-1]
		if n > 1 {
			b.T2[i], b.V2[i] = ts[n-2], vs[n-2]
		}
		if n > 2 {
			b.T3[i] = ts[n-3]
		}
		var sum, c float64
		for k, v := range vs {
			sum, c = kahansum.Inc(v, sum, c)
			if math.IsNaN(v) || math.Abs(v) >= model.LargeFloat {
				b.Flags[i] |= model.BucketSpecial
			}
			if !math.IsNaN(v) {
				numbers = append(numbers, v)
			}
			if k > 0 {
				if before := vs[k-1]; v < before {
					b.Resets[i]++
					b.Lost[i] += before
				}
				if before := vs[k-1]; v != before && !(math.IsNaN(v) && math.IsNaN(before)) {
					b.Changes[i]++
				}
			}
		}
		if b.Sum[i] = sum; !math.IsInf(sum, 0) {
			b.Sum[i] = sum + c
		}
		b.Min[i], b.Max[i] = vs[n-1], vs[n-1]
		if len(numbers) > 0 { // MinFunc and MaxFunc return the first of equals
			b.Min[i], b.Max[i] = slices.MinFunc(numbers, cmp.Compare[float64]), slices.MaxFunc(numbers, cmp.Compare[float64])
		}
	}
	return b
}

// rowString shows a row with the bits of its floats.
func rowString(b *model.Buckets, i int) string {
	s := fmt.Sprint(b.End[i], b.Flags[i], b.Count[i], b.First[i], b.T1[i], b.T2[i], b.T3[i], b.Resets[i], b.Changes[i])
	for _, v := range []float64{b.FirstV[i], b.V1[i], b.V2[i], b.Min[i], b.Max[i], b.Sum[i], b.Lost[i]} {
		s += fmt.Sprintf(" %v", v)
		if bits := math.Float64bits(v); bits != math.Float64bits(math.NaN()) {
			s += fmt.Sprintf("=%x", bits)
		}
	}
	return s
}

func mustEqual(t *testing.T, seed uint64, got, want *model.Buckets) {
	t.Helper()
	if got.Len() != want.Len() {
		t.Fatalf("seed %d: %d rows, want %d", seed, got.Len(), want.Len())
	}
	for i := range want.End {
		// The NaN that an addition yields depends on the order of its operands.
		g, w := *got, *want
		if math.IsNaN(g.Sum[i]) && math.IsNaN(w.Sum[i]) {
			g.Sum, w.Sum = make([]float64, g.Len()), make([]float64, w.Len())
		}
		if g, w := rowString(&g, i), rowString(&w, i); g != w {
			t.Fatalf("seed %d, row %d:\n got %s\nwant %s", seed, i, g, w)
		}
	}
}

// The rows are those of the definition, bit for bit, wherever the entries are split.
func TestBuilderEqualsTheDefinition(t *testing.T) {
	var b *Builder
	var dst model.Buckets
	special := 0
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 1))
		resolution := []int64{1000, 60_000, 300_000, 1_800_000, 3_600_000, 7}[r.IntN(6)]
		s := randomEntries(r)
		want := reference(resolution, s)
		mustEqual(t, seed, FromSamples(resolution, s), want)

		if b == nil || b.resolution != resolution {
			b = NewBuilder(resolution)
		}
		dst.Reset()
		for from := 0; from < s.Len(); {
			to := from + r.IntN(min(s.Len()-from, 1+r.IntN(60))+1)
			part := s.Slice(from, to)
			b.Add(&part, &dst)
			from = to
		}
		b.Flush(&dst)
		mustEqual(t, seed, &dst, want)
		testAddAll(t, seed, r, s)
		for _, f := range want.Flags {
			if f&model.BucketSpecial != 0 {
				special++
			}
		}
	}
	if special < 500 {
		t.Errorf("%d special rows: the test covers too few", special)
	}
}

// testAddAll compares builders of several resolutions that get the same parts of s.
func testAddAll(t *testing.T, seed uint64, r *rand.Rand, s *model.ColumnSet) {
	t.Helper()
	resolutions := [][]int64{{60_000, 3_600_000}, {60_000, 300_000, 1_800_000, 3_600_000}, {7, 70}}[r.IntN(3)]
	var bs []*Builder
	var dsts []*model.Buckets
	for _, resolution := range resolutions {
		bs, dsts = append(bs, NewBuilder(resolution)), append(dsts, new(model.Buckets))
	}
	for from := 0; from < s.Len(); {
		to := from + 1 + r.IntN(s.Len()-from)
		part := s.Slice(from, to)
		AddAll(&part, bs, dsts)
		from = to
	}
	for k, b := range bs {
		b.Flush(dsts[k])
		mustEqual(t, seed, dsts[k], reference(resolutions[k], s))
	}
}

// Empty columns add nothing, and Flush without entries adds no row.
func TestBuilderWithoutEntries(t *testing.T) {
	b, dst := NewBuilder(1000), new(model.Buckets)
	b.Add(new(model.ColumnSet), dst)
	b.Flush(dst)
	b.Flush(dst)
	if dst.Len() != 0 {
		t.Errorf("%d rows of nothing", dst.Len())
	}
}

func TestEndOf(t *testing.T) {
	f := func(at, want int64) {
		t.Helper()
		if got := EndOf(at, 60_000); got != want {
			t.Errorf("end of %d is %d, want %d", at, got, want)
		}
	}
	f(0, 0)
	f(1, 60_000)
	f(59_999, 60_000)
	f(60_000, 60_000)
	f(60_001, 120_000)
	f(-1, 0)
	f(-59_999, 0)
	f(-60_000, -60_000)
	f(-60_001, -60_000)
}

// A row of a sample is the bucket of that sample alone.
func TestSamplesAreRows(t *testing.T) {
	var ts []int64
	var want model.Buckets
	for i, v := range strange {
		ts = append(ts, int64(i)*1000)
		want.AppendSample(int64(i)*1000, v)
	}
	var got model.Buckets
	for i := range strange { // what the memory held before does not show
		got.Grow(1)
		got.T2[i], got.T3[i], got.V2[i], got.Lost[i], got.Resets[i], got.Changes[i] = 1, 2, 3, 4, 5, 6
		got.FirstV[i], got.V1[i], got.Min[i], got.Max[i], got.Sum[i], got.Flags[i] = 1, 2, 3, 4, 5, 0xff
	}
	got.Reset()
	got.AppendSamples(ts, strange, model.AllBucketColumns)
	mustEqual(t, 0, &got, &want)
	built := FromSamples(1000, &model.ColumnSet{T: ts, V: strange})
	for i := range built.End {
		if built.Flags[i] |= model.BucketSample; built.Sum[i] == 0 {
			built.Sum[i] = got.Sum[i] // the sum of -0 alone is 0
		}
	}
	mustEqual(t, 0, &got, built)
	if got.Flags[0].Valid() {
		t.Error("rows of samples are for memory only")
	}
}

// BenchmarkBuildAll measures minutes and hours of a day of a series together.
func BenchmarkBuildAll(b *testing.B) {
	for _, pattern := range []string{"counter", "gauge", "noise", "constant"} {
		b.Run("pattern="+pattern, func(b *testing.B) {
			s := benchSamples(pattern, 1000)
			bs, dsts := []*Builder{NewBuilder(60_000), NewBuilder(3_600_000)}, []*model.Buckets{{}, {}}
			begin := cpuTime(b)
			for b.Loop() {
				dsts[0].Reset()
				dsts[1].Reset()
				AddAll(s, bs, dsts)
				bs[0].Flush(dsts[0])
				bs[1].Flush(dsts[1])
			}
			b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/float64(s.Len()), "cpu-ns/sample")
		})
	}
}

// cpuTime returns the CPU time of the process, which other load on the machine changes
// less than the time that passes.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchSamples returns a day of samples.
func benchSamples(pattern string, interval int64) *model.ColumnSet {
	r := rand.New(rand.NewPCG(1, 2))
	s := new(model.ColumnSet)
	v := 0.0
	for t := int64(1); t <= model.DayMs; t += interval {
		switch pattern {
		case "counter":
			v += float64(r.IntN(50))
		case "gauge":
			v += float64(r.IntN(21) - 10)
		case "noise":
			v = r.NormFloat64()
		}
		s.Append(t+r.Int64N(10), 0, v, model.Histogram{})
	}
	return s
}

// BenchmarkBuild measures a day of a series. MB/s is million samples per second.
func BenchmarkBuild(b *testing.B) {
	for _, resolution := range []int64{60_000, 300_000, 3_600_000} {
		for _, interval := range []int64{1_000, 15_000, 60_000} {
			for _, pattern := range []string{"counter", "gauge", "noise"} {
				b.Run(fmt.Sprintf("resolution=%ds/interval=%ds/pattern=%s", resolution/1000, interval/1000, pattern), func(b *testing.B) {
					s := benchSamples(pattern, interval)
					builder, dst := NewBuilder(resolution), new(model.Buckets)
					b.ReportAllocs()
					b.SetBytes(int64(s.Len()))
					begin := cpuTime(b)
					for b.Loop() {
						dst.Reset()
						builder.Add(s, dst)
						builder.Flush(dst)
					}
					b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/float64(s.Len()), "cpu-ns/sample")
				})
			}
		}
	}
}
