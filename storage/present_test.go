package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// listed returns what Select, LabelValues and LabelNames say of a range.
func listed(t testing.TB, v *View, tr model.TimeRange, ms ...*labels.Matcher) (pods, values, names []string) {
	t.Helper()
	set, err := v.Select(t.Context(), model.DefaultTenant, tr, ms...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range set.Len() {
		pods = append(pods, set.At(i).Labels.Get("pod"))
	}
	values, warnings, err := v.LabelValues(t.Context(), model.DefaultTenant, "pod", tr, 0, ms...)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	names, warnings, err = v.LabelNames(t.Context(), model.DefaultTenant, tr, 0, ms...)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if len(set.Warnings()) > 0 {
		t.Fatal(set.Warnings())
	}
	return pods, values, names
}

func TestSeriesThatEndedAreNotListed(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	clock := vfs.NewManualClock(now)
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, AliasSeed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	write := func(pod string, at time.Time, extra ...string) {
		t.Helper()
		b := db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Hi: uint64(len(pod)), Lo: uint64(pod[0])}, labels.FromStrings(append([]string{"__name__", "old_v", "pod", pod}, extra...)...))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, at.UnixMilli(), 0, 1)
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	m := labels.MustNewMatcher(labels.MatchEqual, "__name__", "old_v")
	minutes := func(from, to int) model.TimeRange {
		return model.Inclusive(now.Add(time.Duration(from)*time.Minute).UnixMilli(), now.Add(time.Duration(to)*time.Minute).UnixMilli())
	}
	check := func(when string, tr model.TimeRange, wantPods, wantNames []string) {
		t.Helper()
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release()
		for _, ms := range [][]*labels.Matcher{{m}, nil} {
			pods, values, names := listed(t, v, tr, ms...)
			if !slices.Equal(pods, wantPods) || !slices.Equal(values, wantPods) && len(values)+len(wantPods) > 0 || !slices.Equal(names, wantNames) && len(names)+len(wantNames) > 0 {
				t.Errorf("%s, %v: series %q, values %q, names %q, want %q and %q", when, ms, pods, values, names, wantPods, wantNames)
			}
		}
	}
	all := func(when string) {
		t.Helper()
		check(when, minutes(-10, 0), []string{"live"}, []string{"__name__", "pod"})
		check(when, minutes(-300, -200), []string{"gone"}, []string{"__name__", "gone_label", "pod"})
		check(when, minutes(-300, 0), []string{"gone", "live"}, []string{"__name__", "gone_label", "pod"})
		check(when, minutes(-200, -100), nil, nil)
		check(when, minutes(-240, -240), []string{"gone"}, []string{"__name__", "gone_label", "pod"})
	}
	write("gone", now.Add(-4*time.Hour), "gone_label", "x")
	write("live", now)
	all("head")
	if _, err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	all("block")
	if _, err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	all("merged")
	write("live", now.Add(-time.Minute))
	all("block and head")

	// What is deleted is not there, whether the block lies in the range or not.
	if err := db.Delete(ctx, model.DefaultTenant, minutes(-300, -200), m); err != nil {
		t.Fatal(err)
	}
	check("deleted", minutes(-300, 0), []string{"live"}, []string{"__name__", "pod"})
	check("deleted", minutes(-300, -200), nil, nil)
	check("deleted", minutes(-10, 0), []string{"live"}, []string{"__name__", "pod"})
}

// A frozen head that deletions concern is asked series by series.
func TestDeletedSeriesOfAFrozenHeadAreNotListed(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: vfs.NewManualClock(now), Seed: 1, AliasSeed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	b := db.NewBatch("test", model.DefaultTenant)
	for i := range 4 {
		ref, err := b.Resolve(model.Hash{Hi: 1, Lo: uint64(i)}, labels.FromStrings("__name__", "m", "pod", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, now.UnixMilli(), 0, 1)
		b.Float(ref, now.Add(time.Minute).UnixMilli(), 0, 1)
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	db.flusher.mu.Lock()
	err = db.flusher.freezeLocked(ctx)
	db.flusher.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	at := model.Inclusive(now.UnixMilli(), now.UnixMilli())
	both := model.Inclusive(now.UnixMilli(), now.Add(time.Minute).UnixMilli())
	pod := func(p string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchRegexp, "pod", p) }
	for _, d := range []struct {
		tr model.TimeRange
		m  *labels.Matcher
	}{{at, pod("1")}, {both, pod("[2]")}} {
		if err := db.Delete(ctx, model.DefaultTenant, d.tr, d.m); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release()
		pods, values, names := listed(t, v, both)
		if want := []string{"0", "1", "3"}; !slices.Equal(pods, want) || !slices.Equal(values, want) || !slices.Equal(names, []string{"__name__", "pod"}) {
			t.Errorf("%s: series %q, values %q, names %q, want %q", when, pods, values, names, want)
		}
	}
	check("frozen")
	if _, err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	check("flushed")
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	if pods, _, _ := listed(t, v, at); !slices.Equal(pods, []string{"0", "3"}) {
		t.Errorf("series %q in the range that was deleted of 1", pods)
	}
}

// TestListedSeriesAreThoseWithChunksInRange makes blocks of random series with
// few samples, deletes at random, and holds what is listed for random ranges to
// the samples that are read: a series with a sample in the range is listed, and
// one is listed only if the range is not before its first sample or behind its
// last, those deleted counted.
func TestListedSeriesAreThoseWithChunksInRange(t *testing.T) {
	ctx := context.Background()
	start := time.Date(2026, 3, 10, 0, 0, 1, 0, time.UTC)
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 5))
		clock := vfs.NewManualClock(start.Add(40 * time.Hour))
		db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, AliasSeed: 1})
		if err != nil {
			t.Fatal(err)
		}
		const series = 3000 // directory pages have 1,024 chunks
		for cut := range 3 {
			b := db.NewBatch("test", model.DefaultTenant)
			for i := range series {
				ref, err := b.Resolve(model.Hash{Hi: 1, Lo: uint64(i)}, labels.FromStrings("__name__", "m", "pod", fmt.Sprintf("%04d", i)))
				if err != nil {
					t.Fatal(err)
				}
				for range rnd.IntN(3) {
					b.Float(ref, start.UnixMilli()+rnd.Int64N(40*60)*60_000, 0, 1)
				}
			}
			if _, err := b.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			if cut < 2 {
				if _, err := db.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if cut == 0 {
				if _, err := db.Compact(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		spans := make(map[string]model.TimeRange, series)
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		everything, err := v.Select(ctx, model.DefaultTenant, model.AllTime)
		if err != nil {
			t.Fatal(err)
		}
		var s model.Samples
		for i := range everything.Len() {
			s.Reset()
			if err := everything.At(i).Samples(ctx, model.AllTime, &s); err != nil {
				t.Fatal(err)
			}
			spans[everything.At(i).Labels.Get("pod")] = model.Inclusive(s.T[0], s.T[s.Len()-1])
		}
		v.Release()
		for range 3 {
			from := start.UnixMilli() + rnd.Int64N(40*60)*60_000
			if err := db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: from, Max: from + rnd.Int64N(20)*3_600_000 + 1},
				labels.MustNewMatcher(labels.MatchRegexp, "pod", fmt.Sprintf(".*%d", rnd.IntN(10)))); err != nil {
				t.Fatal(err)
			}
		}
		if v, err = db.View(); err != nil {
			t.Fatal(err)
		}
		if everything, err = v.Select(ctx, model.DefaultTenant, model.AllTime); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			tr := model.TimeRange{Min: start.UnixMilli() + rnd.Int64N(40*60)*60_000}
			tr.Max = tr.Min + rnd.Int64N(12*3_600_000) + 1
			pods, values, _ := listed(t, v, tr)
			if !slices.Equal(pods, values) {
				t.Fatalf("seed %d: %d series, %d values", seed, len(pods), len(values))
			}
			is := make(map[string]bool, len(pods))
			for _, p := range pods {
				is[p] = true
			}
			for i := range everything.Len() {
				s.Reset()
				if err := everything.At(i).Samples(ctx, model.AllTime, &s); err != nil {
					t.Fatal(err)
				}
				within := slices.ContainsFunc(s.T, tr.Contains)
				if p := everything.At(i).Labels.Get("pod"); within && !is[p] || is[p] && !spans[p].Overlaps(tr) {
					t.Fatalf("seed %d: series %s with samples at %v: listed %v in %v", seed, p, s.T, is[p], tr)
				}
			}
		}
		v.Release()
		if err := db.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
