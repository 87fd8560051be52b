package storage

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// A reader that goes from series to series, back and forth, gives what was
// written last, whatever was written late, deleted, cut and merged in between;
// what it shared stays as it was.
func TestColumnsAreWhatWasWritten(t *testing.T) {
	var shared, copied int
	seeds := 8
	if testing.Short() {
		seeds = 2
	}
	for seed := range int64(seeds) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			s, c := columnsAgainstModel(t, seed)
			shared, copied = shared+s, copied+c
		})
	}
	if shared < 12*seeds || copied < 12*seeds {
		t.Errorf("times of %d series were shared, of %d were not", shared, copied)
	}
}

func columnsAgainstModel(t *testing.T, seed int64) (nShared, nCopied int) {
	rnd := rand.New(rand.NewSource(seed))
	ctx := context.Background()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 20, 0, 0, 0, time.UTC))
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096})
	must(t, err)
	const series = 6 // the last has histograms too
	var written [series]map[int64]model.Samples
	for i := range written {
		written[i] = make(map[int64]model.Samples)
	}
	write := func(from int64, n int, step int64) {
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range series {
			ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
			must(t, err)
			for k := range int64(n) {
				at, v, h := from+k*step, math.Round(rnd.NormFloat64()*1e4)/100, model.Histogram{}
				if i == series-1 && rnd.Intn(2) == 0 {
					v, h = 0, model.Histogram{Float: &histogram.FloatHistogram{CounterResetHint: histogram.GaugeType, Count: v}}
					b.Histogram(ref, at, 0, h)
				} else {
					b.Float(ref, at, 0, v)
				}
				var s model.Samples
				s.Append(at, 0, v, h)
				written[i][at] = s
			}
		}
		_, err := b.Commit(ctx)
		must(t, err)
	}
	var kept, asTheyWere [][]int64 // shared times
	for range 30 {
		now := clock.Now().UnixMilli()
		switch rnd.Intn(10) {
		case 0, 1:
			_, err := db.Flush(ctx)
			must(t, err)
		case 2:
			_, err := db.Flush(ctx)
			must(t, err)
			_, err = db.Compact(ctx)
			must(t, err)
		case 3:
			i := rnd.Intn(series)
			tr := model.TimeRange{Min: now - rnd.Int63n(6*model.HourMs)}
			tr.Max = tr.Min + rnd.Int63n(model.HourMs/4)
			must(t, db.Delete(ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(i))))
			for at := range written[i] {
				if tr.Contains(at) {
					delete(written[i], at)
				}
			}
		case 4:
			write(now-rnd.Int63n(6*model.HourMs), 1+rnd.Intn(3), 1000) // late
		default:
			clock.Advance(time.Hour)
			write(now+rnd.Int63n(50), 300, 10_000)
		}
		v, err := db.View()
		must(t, err)
		set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
		must(t, err)
		var r ColumnReader
		for range 2 * set.Len() {
			s := set.At(rnd.Intn(set.Len()))
			tr := model.AllTime
			if rnd.Intn(2) == 0 {
				tr.Min = now - rnd.Int63n(24*model.HourMs)
				tr.Max = tr.Min + rnd.Int63n(24*model.HourMs)
			}
			var i, want int
			_, err := fmt.Sscan(s.Labels.Get("i"), &i)
			must(t, err)
			for at := range written[i] {
				if tr.Contains(at) {
					want++
				}
			}
			got, shared, err := r.Read(ctx, s, tr)
			must(t, err)
			if got.Len() != want {
				t.Fatalf("%d samples of %s in %v, want %d", got.Len(), s.Labels, tr, want)
			}
			for k, at := range got.T {
				w := written[i][at]
				if !tr.Contains(at) || k > 0 && got.T[k-1] >= at || !got.EqualAt(k, &w, 0) {
					t.Fatalf("sample of %s at %d differs", s.Labels, at)
				}
			}
			if bits := r.IntegralBits(); bits > 0 && slices.ContainsFunc(got.V, func(v float64) bool {
				return v != math.Trunc(v) || math.Abs(v) >= math.Ldexp(1, bits)
			}) {
				t.Fatalf("not all samples of %s are whole numbers of %d bits", s.Labels, bits)
			}
			switch {
			case want == 0:
			case shared:
				nShared++
				kept, asTheyWere = append(kept, got.T), append(asTheyWere, slices.Clone(got.T))
			default:
				nCopied++
			}
		}
		r.Release()
		if w := set.Warnings(); len(w) > 0 {
			t.Fatal(w)
		}
		v.Release()
	}
	for k := range kept {
		if !slices.Equal(kept[k], asTheyWere[k]) {
			t.Error("shared times were changed")
		}
	}
	must(t, db.Close(ctx))
	return nShared, nCopied
}

// Several readers read one selection at a time, and caches are cleared under
// them.
func TestReadersShareASelection(t *testing.T) {
	ctx := t.Context()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 20, 0, 0, 0, time.UTC))
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096})
	must(t, err)
	const series, samples = 50, 300
	for day := range 3 { // the last stays in the head
		clock.Advance(24 * time.Hour)
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range series {
			ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
			must(t, err)
			for k := range int64(samples) {
				b.Float(ref, clock.Now().UnixMilli()+k*1000+k%7, 0, float64(int64(i)*k))
			}
		}
		_, err := b.Commit(ctx)
		must(t, err)
		if day < 2 {
			_, err = db.Flush(ctx)
			must(t, err)
			_, err = db.Compact(ctx)
			must(t, err)
		}
	}
	v, err := db.View()
	must(t, err)
	in := model.AllTime
	for _, end := range []int64{math.MaxInt64, clock.Now().UnixMilli()} { // with the head, without it
		in.Max = end
		set, err := v.Select(ctx, model.DefaultTenant, in, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
		must(t, err)
		want := 3 * samples
		if end != math.MaxInt64 {
			want = 2 * samples
		}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				var r ColumnReader
				defer r.Release()
				for i := range set.Len() {
					if i == 10*w {
						db.cache.Clear()
						r.Release()
					}
					s, _, err := r.Read(ctx, set.At(i), in)
					if err != nil || s.Len() != want {
						t.Errorf("%d samples, want %d; %v", s.Len(), want, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	v.Release()
	must(t, db.Close(ctx))
}
