package encoding

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

func TestOfCounterResetHintsOnlyGaugeIsKept(t *testing.T) {
	for hint, want := range map[histogram.CounterResetHint]histogram.CounterResetHint{
		histogram.UnknownCounterReset: histogram.UnknownCounterReset,
		histogram.CounterReset:        histogram.UnknownCounterReset,
		histogram.NotCounterReset:     histogram.UnknownCounterReset,
		histogram.GaugeType:           histogram.GaugeType,
	} {
		h := latencies(rand.New(rand.NewPCG(1, 2)), 1, 0)[0].Int
		h.CounterResetHint = hint
		stale := &histogram.FloatHistogram{Sum: math.Float64frombits(staleNaN), CounterResetHint: hint}
		for _, m := range []model.Histogram{{Int: h}, {Float: h.ToFloat(nil)}, {Float: stale}} {
			if m.Float != nil {
				m.Float.CounterResetHint = hint
			}
			one, _, err := DecodeHistogram(AppendHistogram(nil, m))
			if err != nil {
				t.Fatal(err)
			}
			column, err := DecodeHistograms(nil, AppendHistograms(nil, []model.Histogram{m, m, m, m}, Fast), 4)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range []model.Histogram{one, column[0], column[3]} {
				if got.Int != nil && got.Int.CounterResetHint != want || got.Float != nil && got.Float.CounterResetHint != want {
					t.Errorf("hint %d is not %d", hint, want)
				}
				if !sameHistogram(got, m) || m.IsStale() != got.IsStale() {
					t.Errorf("hint %d: not the same histogram", hint)
				}
			}
		}
	}
}

func TestAStaleMarkerTakesOneByte(t *testing.T) {
	stale := math.Float64frombits(staleNaN)
	for _, h := range []model.Histogram{{Int: &histogram.Histogram{Sum: stale}}, {Float: &histogram.FloatHistogram{Sum: stale}}, {}} {
		if b := AppendHistogram(nil, h); len(b) != 1 {
			t.Errorf("%d bytes", len(b))
		}
	}
	h := model.Histogram{Float: &histogram.FloatHistogram{Sum: stale, Count: math.Copysign(0, -1)}}
	got, _, err := DecodeHistogram(AppendHistogram(nil, h))
	if err != nil || !sameHistogram(got, h) {
		t.Errorf("a stale marker with a count of -0 comes back as %v: %v", got.Float, err)
	}
}

// Stale markers and new buckets must cost little compared with the counts.
func TestHistogramColumnsTakeFewBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		pattern string
		n       int
		maxSize float64 // bytes per histogram
	}{
		{"latency", 10, 20}, {"latency", 40, 16.5}, {"latency", 120, 16}, {"latency", 1000, 14.5},
		{"growing", 40, 20}, {"growing", 1000, 15.5}, {"float", 40, 18}, {"float", 1000, 15.5},
		{"stale", 40, 25}, {"stale", 1000, 18}, {"gauge", 1000, 14.5},
	} {
		for _, p := range histogramPatterns {
			if p.name != c.pattern {
				continue
			}
			b := AppendHistograms(nil, p.make(r, c.n), Fast)
			if got := float64(len(b)) / float64(c.n); got > c.maxSize {
				t.Errorf("%d histograms, %s: %.1f bytes each, want at most %.1f", c.n, c.pattern, got, c.maxSize)
			}
		}
	}
}

// Histograms that cannot be split into columns are stored as a list.
func TestFormsOfHistogramColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	form := func(hs []model.Histogram) string {
		t.Helper()
		info, err := ColumnInfo(KindHistograms, AppendHistograms(nil, hs, Fast), len(hs))
		if err != nil {
			t.Fatal(err)
		}
		return info.Form
	}
	hs := latencies(r, 30, 3)
	if got := form(hs); got != "columns" {
		t.Errorf("ordinary histograms: %s", got)
	}
	if got := form(hs[:2]); got != "list" {
		t.Errorf("two histograms: %s", got)
	}
	if got := form(append(hs, model.Histogram{})); got != "list" {
		t.Errorf("one that is none: %s", got)
	}
	many := latencies(r, 1, 0)[0].Int
	many.PositiveSpans = []histogram.Span{{Length: maxLayoutBuckets + 1}}
	many.PositiveBuckets = make([]int64, maxLayoutBuckets+1)
	if got := form([]model.Histogram{hs[0], {Int: many}, hs[1]}); got != "list" {
		t.Errorf("too many buckets: %s", got)
	}
	layouts := latencies(r, maxColumnLayouts+5, 0)
	for i := range layouts {
		layouts[i].Int.ZeroThreshold = float64(i)
	}
	if got := form(layouts); got != "list" {
		t.Errorf("too many layouts: %s", got)
	}
}

// A few bytes that claim many buckets are refused before memory is allocated.
func TestHistogramColumnsBoundTheirMemory(t *testing.T) {
	claims := func(n int, layouts, bucketsEach uint64) []byte {
		b := []byte{packedPlain, histogramColumns}
		b = binary.AppendUvarint(b, layouts)
		for range layouts {
			b = append(b, layoutPositive, 6, 1, 0)
			b = binary.AppendUvarint(b, bucketsEach)
		}
		b = append(b, 1, 0)
		b = binary.AppendUvarint(b, uint64(n-1))
		return append(b, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, c := range []struct {
		n                    int
		layouts, bucketsEach uint64
	}{
		{1, 1, 1 << 40}, {MaxValues, 1, maxLayoutBuckets}, {MaxValues, 1, maxColumnBuckets/MaxValues + 1},
		{5, 1 << 40, 1}, {5, maxColumnLayouts + 1, 1}, {MaxValues, maxColumnLayouts, maxLayoutBuckets},
	} {
		if _, err := DecodeHistograms(nil, claims(c.n, c.layouts&0xffff, c.bucketsEach), c.n); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d histograms, %d layouts of %d buckets: %v", c.n, c.layouts, c.bucketsEach, err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
}

func TestHistogramsOfAColumnShareNothingWithItsBytes(t *testing.T) {
	hs := latencies(rand.New(rand.NewPCG(1, 2)), 20, 3)
	b := AppendHistograms(nil, hs, Fast)
	got, err := DecodeHistograms(nil, b, len(hs))
	if err != nil {
		t.Fatal(err)
	}
	one := AppendHistogram(nil, hs[0])
	first, _, err := DecodeHistogram(one)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	clear(one)
	for i := range hs {
		if !sameHistogram(got[i], hs[i]) {
			t.Fatalf("histogram %d changed with the bytes", i)
		}
	}
	if !sameHistogram(first, hs[0]) {
		t.Fatal("a single histogram changed with the bytes")
	}
	// Appending to the buckets of one must not write into those of the next.
	got[0].Int.PositiveBuckets = append(got[0].Int.PositiveBuckets, 99)
	if !sameHistogram(got[1], hs[1]) {
		t.Fatal("histograms share capacity")
	}
}
