package storage

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// While a cut writes the frozen head, what was written again after a deletion of the same
// generation is there, and a deletion of the next generation takes it.
func TestDeletionsDuringACut(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{Clock: vfs.NewManualClock(now), Seed: 1, CacheBytes: -1, ReserveBytes: 4096})
	must(t, err)
	defer db.Close(ctx)
	write := func(v float64) {
		t.Helper()
		b := db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Lo: 1}, labels.FromStrings("__name__", "m"))
		must(t, err)
		for k := range int64(3) {
			b.Float(ref, now.UnixMilli()+k, 0, v)
			b.Exemplar(ref, model.Exemplar{T: now.UnixMilli() + k, V: v})
		}
		_, err = b.Commit(ctx)
		must(t, err)
	}
	deleteFirst := func() { // two of three
		t.Helper()
		must(t, db.Delete(ctx, model.DefaultTenant, model.Inclusive(now.UnixMilli(), now.UnixMilli()+1), labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")))
	}
	want := func(when string, values ...float64) {
		t.Helper()
		m := map[string]float64{}
		for k, v := range values {
			if v != 0 {
				m[fmt.Sprint(labels.FromStrings("__name__", "m"), now.UnixMilli()+int64(k))] = v
			}
		}
		if got := samplesOf(t, db); !maps.Equal(got, m) {
			t.Errorf("%s: %v, want %v", when, got, m)
		}
		v, err := db.View()
		must(t, err)
		defer v.Release()
		list, _, err := v.Exemplars(ctx, model.DefaultTenant, model.AllTime, [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")}})
		must(t, err)
		newest := map[string]float64{}
		for _, s := range list {
			for _, e := range s.Exemplars {
				key := fmt.Sprint(s.Labels, e.T)
				newest[key] = max(newest[key], e.V)
			}
		}
		if !maps.Equal(newest, m) {
			t.Errorf("%s: exemplars %v, want %v", when, newest, m)
		}
	}
	write(1)
	deleteFirst()
	want("deleted", 0, 0, 1)
	write(2)
	want("written again", 2, 2, 2)
	db.flusher.mu.Lock()
	err = db.flusher.freezeLocked(ctx)
	db.flusher.mu.Unlock()
	must(t, err)
	want("frozen", 2, 2, 2)
	deleteFirst()
	want("deleted from the frozen head", 0, 0, 2)
	write(3)
	want("written to the active head", 3, 3, 3)
	_, err = db.Flush(ctx)
	must(t, err)
	want("cut", 3, 3, 3)
	_, err = db.Compact(ctx)
	must(t, err)
	want("merged", 3, 3, 3)
	deleteFirst()
	_, err = db.CleanTombstones(ctx)
	must(t, err)
	if n := len(db.manifest.State().Tombstones); n > 0 {
		t.Errorf("%d deletions are left", n)
	}
	want("carried out", 0, 0, 3)
}
