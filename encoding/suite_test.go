package encoding

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

// column is one column of one codec. Its functions hide the type of its values from
// the suite.
type column struct {
	name string
	n    int
	// append appends the column.
	append func(dst []byte) []byte
	// decode decodes src as n values, appending them to a few existing ones. It
	// fails t if those changed or if anything was added despite an error, and
	// reports whether the values are those of the column.
	decode func(t *testing.T, src []byte, n int) (same bool, err error)
}

var suiteSizes = []int{0, 1, 2, 3, 7, 8, 9, 17, 40, 120, 511, 512, 514, 1030}

// suiteColumns returns columns of every codec and pattern with up to maxLen values.
func suiteColumns(r *rand.Rand, maxLen int) []column {
	var cs []column
	add := func(c column) {
		c.name = fmt.Sprintf("%s/n=%d", c.name, c.n)
		cs = append(cs, c)
	}
	floats := func(p floatPattern, n int) {
		vs := p.make(r, n)
		_, own := AppendFloats(nil, vs, Fast, 0)
		for _, hint := range []FloatHint{0, own, FloatHint(r.Uint32())} {
			add(floatColumn(fmt.Sprintf("floats/%s/hint=%#x", p.name, hint), vs, Fast, hint))
		}
		add(floatColumn("floats/full/"+p.name, vs, Full, 0))
	}
	for _, n := range suiteSizes {
		if n > maxLen {
			break
		}
		for _, p := range plainPatterns {
			floats(p, n)
		}
		for _, p := range timePatterns {
			ts := p.make(r, n)
			for _, tier := range []Tier{Fast, Full} {
				add(timeColumn("timestamps/"+full(tier)+p.name, ts, tier))
			}
			for _, q := range startPatterns {
				if p.name != "aligned" && p.name != "extremes" {
					break
				}
				sts := q.make(r, ts)
				for _, tier := range []Tier{Fast, Full} {
					add(startColumn("starts/"+full(tier)+p.name+"/"+q.name, sts, ts, tier))
				}
			}
		}
		for _, p := range histogramPatterns {
			hs := p.make(r, n)
			for _, tier := range []Tier{Fast, Full} {
				add(histogramColumn("histograms/"+full(tier)+p.name, hs, tier))
			}
			add(singleHistograms("histogram/"+p.name, hs))
		}
		for _, p := range bucketPatterns {
			if n > 120 { // longer ones have tests of their own
				break
			}
			rows := p.buckets(r, n)
			add(bucketTimeColumn(fmt.Sprintf("buckettimes/%d/%s", p.resolution, p.name), rows, p.resolution))
			add(bucketValueColumn(fmt.Sprintf("bucketvalues/%d/%s", p.resolution, p.name), rows))
			rows = onlyBuckets(noResets(rows), model.AllBucketColumns)
			add(bucketValueColumn(fmt.Sprintf("bucketvalues/%d/%s without resets", p.resolution, p.name), rows))
		}
		for _, p := range stringPatterns {
			add(zstdFrame("zstd/"+p.name, bytes.Join(p.make(r, n), nil)))
		}
	}
	for _, n := range suiteSizes {
		for _, p := range programPatterns {
			if n <= maxLen {
				floats(p, n)
			}
		}
	}
	return cs
}

func floatColumn(name string, vs []float64, tier Tier, hint FloatHint) column {
	return column{name, len(vs),
		func(dst []byte) []byte { b, _ := AppendFloats(dst, vs, tier, hint); return b },
		func(t *testing.T, src []byte, n int) (bool, error) {
			return decodeAfter(t, 7.5, vs, sameBits, func(dst []float64) ([]float64, error) { return DecodeFloats(dst, src, n) })
		}}
}

func timeColumn(name string, ts []int64, tier Tier) column {
	return column{name, len(ts),
		func(dst []byte) []byte { return AppendTimestamps(dst, ts, tier) },
		func(t *testing.T, src []byte, n int) (bool, error) {
			return decodeAfter(t, 7, ts, equal, func(dst []int64) ([]int64, error) { return DecodeTimestamps(dst, src, n) })
		}}
}

func startColumn(name string, sts, ts []int64, tier Tier) column {
	return column{name, len(sts),
		func(dst []byte) []byte { return AppendStartTimestamps(dst, sts, ts, tier) },
		func(t *testing.T, src []byte, n int) (bool, error) {
			times := ts
			if n != len(ts) {
				times = make([]int64, min(max(n, 0), 1<<17))
			}
			return decodeAfter(t, 7, sts, equal, func(dst []int64) ([]int64, error) { return DecodeStartTimestamps(dst, src, times) })
		}}
}

func histogramColumn(name string, hs []model.Histogram, tier Tier) column {
	return column{name, len(hs),
		func(dst []byte) []byte { return AppendHistograms(dst, hs, tier) },
		func(t *testing.T, src []byte, n int) (bool, error) {
			return decodeAfter(t, model.Histogram{}, hs, sameHistogram, func(dst []model.Histogram) ([]model.Histogram, error) {
				return DecodeHistograms(dst, src, n)
			})
		}}
}

// singleHistograms are individual histograms one after another, as in the WAL.
func singleHistograms(name string, hs []model.Histogram) column {
	return column{name, len(hs),
		func(dst []byte) []byte {
			for _, h := range hs {
				dst = AppendHistogram(dst, h)
			}
			return dst
		},
		func(t *testing.T, src []byte, n int) (bool, error) {
			return decodeAfter(t, model.Histogram{}, hs, sameHistogram, func(dst []model.Histogram) ([]model.Histogram, error) {
				out := dst
				for len(src) > 0 {
					h, rest, err := DecodeHistogram(src)
					if err != nil {
						return dst, err
					}
					out, src = append(out, h), rest
				}
				if len(out)-len(dst) != n {
					return dst, corruptf("%d histograms, want %d", len(out)-len(dst), n)
				}
				return out, nil
			})
		}}
}

func zstdFrame(name string, b []byte) column {
	return column{name, len(b),
		func(dst []byte) []byte { return AppendZstd(dst, b) },
		func(t *testing.T, src []byte, n int) (bool, error) {
			return decodeAfter(t, 'x', b, equal, func(dst []byte) ([]byte, error) { return DecodeZstd(dst, src, n) })
		}}
}

// full is a part of the names of columns of the full tier.
func full(tier Tier) string {
	if tier == Full {
		return "full/"
	}
	return ""
}

// decodeAfter decodes after three existing values and compares the result with want.
func decodeAfter[T any](t *testing.T, first T, want []T, same func(a, b T) bool, decode func(dst []T) ([]T, error)) (bool, error) {
	t.Helper()
	got, err := decode([]T{first, first, first})
	if len(got) < 3 || !slices.EqualFunc(got[:3], []T{first, first, first}, same) {
		t.Fatal("values before the column changed")
	}
	if err != nil {
		if len(got) != 3 {
			t.Fatal("values added in spite of an error")
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("error %v is not ErrCorrupt", err)
		}
		return false, err
	}
	return slices.EqualFunc(got[3:], want, same), nil
}

func equal[T comparable](a, b T) bool { return a == b }

// sameHistogram compares all stored bits.
func sameHistogram(a, b model.Histogram) bool {
	switch {
	case a.Int != nil && b.Int != nil:
		x, y := a.Int, b.Int
		return (x.CounterResetHint == histogram.GaugeType) == (y.CounterResetHint == histogram.GaugeType) &&
			x.Schema == y.Schema && sameBits(x.ZeroThreshold, y.ZeroThreshold) && x.ZeroCount == y.ZeroCount &&
			x.Count == y.Count && sameBits(x.Sum, y.Sum) && slices.EqualFunc(x.CustomValues, y.CustomValues, sameBits) &&
			slices.Equal(x.PositiveSpans, y.PositiveSpans) && slices.Equal(x.NegativeSpans, y.NegativeSpans) &&
			slices.Equal(x.PositiveBuckets, y.PositiveBuckets) && slices.Equal(x.NegativeBuckets, y.NegativeBuckets)
	case a.Float != nil && b.Float != nil:
		x, y := a.Float, b.Float
		return (x.CounterResetHint == histogram.GaugeType) == (y.CounterResetHint == histogram.GaugeType) &&
			x.Schema == y.Schema && sameBits(x.ZeroThreshold, y.ZeroThreshold) && sameBits(x.ZeroCount, y.ZeroCount) &&
			sameBits(x.Count, y.Count) && sameBits(x.Sum, y.Sum) && slices.EqualFunc(x.CustomValues, y.CustomValues, sameBits) &&
			slices.Equal(x.PositiveSpans, y.PositiveSpans) && slices.Equal(x.NegativeSpans, y.NegativeSpans) &&
			slices.EqualFunc(x.PositiveBuckets, y.PositiveBuckets, sameBits) && slices.EqualFunc(x.NegativeBuckets, y.NegativeBuckets, sameBits)
	}
	return a.IsZero() && b.IsZero()
}

func TestColumnsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	maxLen := math.MaxInt
	if raceEnabled {
		maxLen = 120
	}
	for _, c := range suiteColumns(r, maxLen) {
		prefix := []byte("prefix")
		b := c.append(bytes.Clone(prefix))
		if !bytes.HasPrefix(b, prefix) {
			t.Fatalf("%s: what stood before the column changed", c.name)
		}
		b = b[len(prefix):]
		if same, err := c.decode(t, b, c.n); err != nil || !same {
			t.Fatalf("%s: same values: %v, error: %v", c.name, same, err)
		}
		if again := c.append(nil); !bytes.Equal(b, again) {
			t.Fatalf("%s: appended twice, not the same bytes", c.name)
		}
		roomy := bytes.Repeat([]byte{0xa5}, len(b)+100)
		if again := c.append(roomy[:0]); !bytes.Equal(b, again) {
			t.Fatalf("%s: not the same bytes in used memory", c.name)
		}
		if c.n == 0 && len(b) > 0 && c.name[:4] != "zstd" {
			t.Fatalf("%s: %d bytes for no value", c.name, len(b))
		}
	}
}

func TestCutColumnsGiveErrorsOrTheRightData(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range suiteColumns(r, 17) {
		b := c.append(nil)
		for cut := range b {
			if cut == 0 && strings.HasPrefix(c.name, "starts/") {
				continue // an empty column has no start timestamps
			}
			if same, err := c.decode(t, b[:cut:cut], c.n); err == nil && !same {
				t.Fatalf("%s: cut at %d of %d bytes gives other values", c.name, cut, len(b))
			}
		}
		if _, err := c.decode(t, append(bytes.Clone(b), 0), c.n); err == nil && c.n > 0 {
			t.Fatalf("%s: a byte too many is not noticed", c.name)
		}
	}
}

func TestWrongNumbersOfValuesDoNoHarm(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range suiteColumns(r, 17) {
		b := c.append(nil)
		for _, n := range []int{-1, 0, c.n - 1, c.n + 1, 2 * c.n, MaxValues, MaxValues + 1, math.MaxInt, math.MinInt} {
			if n != c.n {
				c.decode(t, b, n)
			}
		}
	}
}

func TestChangedBytesDoNoHarm(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, c := range suiteColumns(r, 9) {
		b := c.append(nil)
		for i := range b {
			changes := []byte{1 << r.IntN(8), byte(1 + r.IntN(255))}
			if i < 2 && !raceEnabled {
				changes = fill(255, func(k int) byte { return byte(k + 1) })
			}
			for _, change := range changes {
				b[i] ^= change
				c.decode(t, b, c.n)
				b[i] ^= change
			}
		}
	}
}

// Coders of the full tier are for long columns.
func TestChangedBytesOfLongColumnsDoNoHarm(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine")
	}
	r := rand.New(rand.NewPCG(9, 8))
	for _, c := range suiteColumns(r, 1030) {
		codec, _, _ := strings.Cut(c.name, "/")
		if c.n != 511 && c.n != 1030 || codec != "floats" && codec != "timestamps" || !strings.Contains(c.name, "/full/") {
			continue
		}
		b := c.append(nil)
		for i := range b {
			if i > 40 && i%7 != 0 {
				continue
			}
			change := byte(1 + r.IntN(255))
			b[i] ^= change
			c.decode(t, b, c.n)
			c.decode(t, b[:i], c.n)
			b[i] ^= change
		}
		for _, n := range []int{0, 1, c.n - 1, c.n + 1, MaxValues} {
			c.decode(t, b, n)
		}
	}
}

func TestColumnsAreMadeAndReadConcurrently(t *testing.T) {
	cs := suiteColumns(rand.New(rand.NewPCG(9, 10)), 120)
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range cs {
				c := cs[(i*7+k*len(cs)/4)%len(cs)]
				if same, err := c.decode(t, c.append(nil), c.n); err != nil || !same {
					t.Errorf("%s: same values: %v, error: %v", c.name, same, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestColumnsInReusedMemoryTakeNoAllocation(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, n := range []int{1, 40, 1030} {
		for _, p := range floatPatterns {
			vs := p.make(r, n)
			src, hint := AppendFloats(nil, vs, Fast, 0)
			stays, _ := AppendFloats(nil, vs, Full, 0)
			buf, out := make([]byte, 0, 30*n+200), make([]float64, 0, n)
			check := func(what string, f func()) {
				t.Helper()
				if a := testing.AllocsPerRun(20, f); a != 0 {
					t.Errorf("%s of %d %s values: %v allocations", what, n, p.name, a)
				}
			}
			check("decode", func() { out, _ = DecodeFloats(out[:0], src, n) })
			if !raceEnabled { // the race detector makes pools drop their content
				check("decode of the full tier", func() { out, _ = DecodeFloats(out[:0], stays, n) })
				check("encode", func() { AppendFloats(buf, vs, Fast, hint) })
				check("search", func() { AppendFloats(buf, vs, Fast, 0) })
			}
		}
		for _, p := range timePatterns {
			ts := p.make(r, n)
			src := AppendTimestamps(nil, ts, Fast)
			out := make([]int64, 0, n)
			if a := testing.AllocsPerRun(20, func() { DecodeTimestamps(out, src, n) }); a != 0 {
				t.Errorf("decode of %d %s times: %v allocations", n, p.name, a)
			}
			for _, q := range startPatterns {
				src := AppendStartTimestamps(nil, q.make(r, ts), ts, Fast)
				if a := testing.AllocsPerRun(20, func() { DecodeStartTimestamps(out, src, ts) }); a != 0 {
					t.Errorf("decode of %d %s starts: %v allocations", n, q.name, a)
				}
			}
		}
	}
}
