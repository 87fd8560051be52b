package query_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"tsdb/query/querytest"
)

// point is one sample of the model that iterators are held against.
type point struct {
	st, t int64
	v     float64
	h     *histogram.Histogram
	fh    *histogram.FloatHistogram
}

func (p point) kind() chunkenc.ValueType {
	switch {
	case p.h != nil:
		return chunkenc.ValHistogram
	case p.fh != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

// open writes points to one series of a database and returns a querier over
// all time and the series.
func open(t *testing.T, points []point) (promstorage.Querier, promstorage.Series) {
	t.Helper()
	s := querytest.New(t, false)
	app := s.AppenderV2(t.Context())
	for _, p := range points {
		if _, err := app.Append(0, labels.FromStrings("__name__", "x"), p.st, p.t, p.v, p.h, p.fh, promstorage.AOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	q, err := s.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "x"))
	if !set.Next() {
		t.Fatalf("no series: %v", set.Err())
	}
	series := set.At()
	if set.Next() || set.Err() != nil {
		t.Fatal("more than one series")
	}
	return q, series
}

func check(t *testing.T, it chunkenc.Iterator, p point) {
	t.Helper()
	if it.AtT() != p.t || it.AtST() != p.st {
		t.Fatalf("at %d with start %d, want %d with %d", it.AtT(), it.AtST(), p.t, p.st)
	}
	switch p.kind() {
	case chunkenc.ValFloat:
		if ts, v := it.At(); ts != p.t || math.Float64bits(v) != math.Float64bits(p.v) {
			t.Fatalf("float %v at %d, want %v at %d", v, ts, p.v, p.t)
		}
	case chunkenc.ValHistogram:
		if ts, h := it.AtHistogram(nil); ts != p.t || !h.Equals(p.h) {
			t.Fatalf("histogram %v at %d, want %v at %d", h, ts, p.h, p.t)
		}
		if _, fh := it.AtFloatHistogram(&histogram.FloatHistogram{CustomValues: []float64{7}}); !fh.Equals(p.h.ToFloat(nil)) {
			t.Fatalf("as floats %v, want %v", fh, p.h)
		}
	default:
		if ts, fh := it.AtFloatHistogram(nil); ts != p.t || !fh.Equals(p.fh) {
			t.Fatalf("float histogram %v at %d, want %v at %d", fh, ts, p.fh, p.t)
		}
	}
}

// mixed makes samples of every kind at uneven times.
func mixed(rng *rand.Rand, n int) []point {
	points := make([]point, 0, n)
	ts := int64(1000)
	for i := range n {
		ts += 1 + rng.Int64N(20_000)
		p := point{t: ts}
		if rng.IntN(3) == 0 {
			p.st = ts - 500
		}
		switch (i / 50) % 4 {
		case 0, 1:
			p.v = rng.NormFloat64()
			if i%17 == 0 {
				p.v = math.Float64frombits(value.StaleNaN)
			}
		case 2:
			p.h = tsdbutil.GenerateTestHistogram(int64(i))
		case 3:
			p.fh = tsdbutil.GenerateTestFloatHistogram(int64(i))
		}
		points = append(points, p)
	}
	return points
}

// Any sequence of Next and Seek stops where a walk over a list would.
func TestIteratorWalksLikeAList(t *testing.T) {
	const seed = 7
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	points := mixed(rng, 400)
	_, series := open(t, points)
	var it chunkenc.Iterator
	for range 300 {
		it = series.Iterator(it)
		for i := -1; i < len(points); {
			var got chunkenc.ValueType
			if rng.IntN(3) == 0 {
				got = it.Next()
				i++
			} else {
				at := int64(0)
				if i >= 0 {
					at = points[i].t
				}
				to := at + rng.Int64N(400_000) - 50_000
				got = it.Seek(to)
				for i = max(i, 0); i < len(points) && points[i].t < to; i++ {
				}
			}
			if i >= len(points) {
				if got != chunkenc.ValNone {
					t.Fatalf("%v behind the last sample", got)
				}
				break
			}
			if got != points[i].kind() {
				t.Fatalf("kind %v, want %v", got, points[i].kind())
			}
			check(t, it, points[i])
		}
		if it.Next() != chunkenc.ValNone || it.Seek(0) != chunkenc.ValNone || it.Seek(math.MaxInt64) != chunkenc.ValNone || it.Err() != nil {
			t.Fatal("an exhausted iterator went on")
		}
	}
}

// What the engine gets is its own: changing it changes no later answer.
func TestHistogramsAreCopies(t *testing.T) {
	_, series := open(t, []point{{t: 1, h: tsdbutil.GenerateTestHistogram(1)}, {t: 2, fh: tsdbutil.GenerateTestFloatHistogram(2)}})
	for range 2 {
		it := series.Iterator(nil)
		it.Next()
		_, h := it.AtHistogram(nil)
		if !h.Equals(tsdbutil.GenerateTestHistogram(1)) {
			t.Error("a histogram changed")
		}
		h.PositiveBuckets[0], h.PositiveSpans[0].Offset = 99, 99
		it.Next()
		_, fh := it.AtFloatHistogram(nil)
		if !fh.Equals(tsdbutil.GenerateTestFloatHistogram(2)) {
			t.Error("a float histogram changed")
		}
		fh.PositiveBuckets[0], fh.Count = 99, 99
	}
}

func TestIteratorReportsTheEndOfItsContext(t *testing.T) {
	q, _ := open(t, []point{{t: 1, v: 1}, {t: 2, v: 2}})
	ctx, cancel := context.WithCancel(t.Context())
	set := q.Select(ctx, false, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "x"))
	set.Next()
	it := set.At().Iterator(nil)
	if it.Next() != chunkenc.ValFloat {
		t.Fatal(it.Err())
	}
	cancel()
	for it.Err() == nil { // the context tells the selection in a goroutine
	}
	if it.Next() != chunkenc.ValNone || it.Seek(2) != chunkenc.ValNone || it.Err() != context.Canceled {
		t.Errorf("went on: %v", it.Err())
	}
}

func TestHintsBoundTimeAndNumber(t *testing.T) {
	q, _ := open(t, []point{{t: 1000, v: 1}, {t: 2000, v: 2}, {t: 3000, v: 3}})
	match := labels.MustNewMatcher(labels.MatchEqual, "__name__", "x")
	set := q.Select(t.Context(), true, &promstorage.SelectHints{Start: 1001, End: 2000, Limit: 1}, match)
	set.Next()
	it := set.At().Iterator(nil)
	if it.Next() != chunkenc.ValFloat || it.AtT() != 2000 || it.Next() != chunkenc.ValNone {
		t.Error("the hints' range was not kept")
	}
	if set.Next() {
		t.Error("the hints' limit was not kept")
	}
}
