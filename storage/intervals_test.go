package storage

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// Intervals of random ranges give what the samples give, whatever was written
// late, deleted, cut and merged in between.
func TestIntervalsGiveWhatTheSamplesGive(t *testing.T) {
	aggregates := 0
	seeds := unlessShort(12, 2)
	for seed := range int64(seeds) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { aggregates += intervalsAgainstSamples(t, seed) })
	}
	if aggregates < 8*seeds {
		t.Errorf("only %d intervals are aggregates", aggregates)
	}
}

func intervalsAgainstSamples(t *testing.T, seed int64) (aggregates int) {
	r := rand.New(rand.NewSource(seed))
	ctx := context.Background()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 18, 0, 0, 0, time.UTC))
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096})
	must(t, err)
	makers := []func() float64{
		func() float64 { return r.NormFloat64() * 1e6 },
		func() float64 { return float64(r.Intn(1e6)) / 100 },
		func() float64 { return 0.1 },
		func() float64 { // mostly plain
			if r.Intn(2000) == 0 {
				return []float64{math.NaN(), math.Inf(1), math.Float64frombits(value.StaleNaN)}[r.Intn(3)]
			}
			return r.Float64()
		},
	}
	write := func(from int64, n int, step int64) {
		b := db.NewBatch("test", model.DefaultTenant)
		for i, v := range makers {
			ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
			must(t, err)
			for k := range int64(n) {
				b.Float(ref, from+k*step, 0, v())
			}
		}
		_, err := b.Commit(ctx)
		must(t, err)
	}
	for range 40 {
		now := clock.Now().UnixMilli()
		switch r.Intn(12) {
		case 0, 1:
			_, err := db.Flush(ctx)
			must(t, err)
		case 2:
			_, err := db.Compact(ctx)
			must(t, err)
		case 3:
			from := now - r.Int63n(12*model.HourMs)
			must(t, db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: from, Max: from + r.Int63n(model.HourMs/4)},
				labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(r.Intn(len(makers))))))
		case 4:
			write(now-r.Int63n(12*model.HourMs), 1+r.Intn(3), 1000) // late
		default:
			clock.Advance(time.Hour)
			write(now, 1500, 2000)
		}
		v, err := db.View()
		must(t, err)
		set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
		must(t, err)
		for i := range set.Len() {
			tr := model.AllTime
			if r.Intn(2) == 0 {
				tr.Min = now - r.Int63n(24*model.HourMs)
				tr.Max = tr.Min + r.Int63n(24*model.HourMs)
			}
			aggregates += compareIntervals(t, set.At(i), tr, func(model.TimeRange) bool { return seed%3 > 0 || r.Intn(2) == 0 })
		}
		v.Release()
	}
	must(t, db.Close(ctx))
	return aggregates
}

// compareIntervals holds the intervals of a range against its samples and returns how
// many of them are aggregates.
func compareIntervals(t *testing.T, s *Series, tr model.TimeRange, whole func(model.TimeRange) bool) (aggregates int) {
	t.Helper()
	ctx := context.Background()
	var want, scratch model.Samples
	must(t, s.Samples(ctx, tr, &want))
	at, last := 0, int64(math.MinInt64)
	must(t, s.Intervals(ctx, tr, whole, &scratch, func(p Interval) error {
		if p.Range.Min < last || p.Range.Empty() || p.Range.Intersect(tr) != p.Range {
			t.Fatalf("interval of %v after %d in %v", p.Range, last, tr)
		}
		last = p.Range.Max
		if at < want.Len() && want.T[at] < p.Range.Min {
			t.Fatalf("sample at %d lies before interval of %v", want.T[at], p.Range)
		}
		end := want.Search(p.Range.Max)
		if p.Samples != nil {
			if p.Samples.Len() != end-at {
				t.Fatalf("%d samples, want %d", p.Samples.Len(), end-at)
			}
			for k := range end - at {
				if !p.Samples.EqualAt(k, &want, at+k) {
					t.Fatalf("sample at %d differs", want.T[at+k])
				}
			}
			at = end
			return nil
		}
		aggregates++
		a := p.Aggregate
		lo, hi, sum, scale := math.Inf(1), math.Inf(-1), 0.0, 0.0
		for _, v := range want.V[at:end] {
			lo, hi, sum, scale = min(lo, v), max(hi, v), sum+v, scale+math.Abs(v)
		}
		// The plain sum has its own error, which 1e-12 leaves room for here.
		if int(a.Count) != end-at || a.Min != lo || a.Max != hi || !(math.Abs(a.Sum+a.Comp-sum) <= 1e-12*scale) {
			t.Fatalf("%+v for %d samples, least %v, greatest %v, sum %v", a, end-at, lo, hi, sum)
		}
		at = end
		return nil
	}))
	if at != want.Len() {
		t.Fatalf("intervals of %d samples, want %d", at, want.Len())
	}
	return aggregates
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
