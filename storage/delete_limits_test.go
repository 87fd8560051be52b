package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/manifest"
	"tsdb/storage/doctor"
)

// A deletion that log or MANIFEST could not hold is refused with the limit in
// its error, and everything goes on; one at the limit survives cut and restart.
func TestDeleteRefusesWhatCannotBeRecorded(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	opts := Options{Seed: 1, CacheBytes: -1, ReserveBytes: 4096}
	db, err := openChecked(t, ctx, fs, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	equal := func(n, bytes int) (ms []*labels.Matcher) {
		for i := range n {
			ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, fmt.Sprint("l", i), strings.Repeat("x", bytes)))
		}
		return ms
	}
	for _, c := range []struct {
		name  string
		ms    []*labels.Matcher
		limit string
	}{
		{"a matcher too many", equal(model.MaxMatchers+1, 1), "limit of 1024"},
		{"a matcher longer than a frame", equal(1, 5<<20), "limit is 1048576"},
		{"matchers that together are longer than a frame", equal(20, 1<<20-10), "a frame of the log holds"},
	} {
		err := db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: 1, Max: 2}, c.ms...)
		if !errors.Is(err, ErrDeleteTooLarge) || !strings.Contains(err.Error(), c.limit) {
			t.Errorf("%s: error %.200v does not name the limit", c.name, err)
		}
	}
	for _, ms := range [][]*labels.Matcher{equal(model.MaxMatchers, 1), equal(1, 900<<10)} {
		if err := db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: 1, Max: 2}, ms...); err != nil {
			t.Errorf("delete at the limit: %.200v", err)
		}
	}
	b := db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: 1}, labels.FromStrings("__name__", "m"))
	if err != nil {
		t.Fatal(err)
	}
	b.Float(ref, db.now(), 0, 1)
	b.Exemplar(ref, model.Exemplar{T: db.now(), Labels: labels.FromStrings("a", "b")})
	var many labels.ScratchBuilder
	for i := range model.MaxExemplarLabels + 1 {
		many.Add(fmt.Sprintf("l%05d", i), "v")
	}
	b.Exemplar(ref, model.Exemplar{T: db.now(), Labels: many.Labels()})
	r, err := b.Commit(ctx)
	if err != nil || r.Exemplars != 1 || len(r.Rejected) != 1 || r.Rejected[0].Count != 1 {
		t.Errorf("an exemplar with too many labels: %+v, %v; it alone should be refused", r, err)
	}
	if _, err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if db, err = openChecked(t, ctx, fs, "data", opts); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	report, err := doctor.Check(ctx, fs, "data")
	if err != nil || len(report.Damage) > 0 {
		t.Fatal(err, report)
	}
}

// The matchers of all deletions together are bounded: each snapshot of the
// MANIFEST repeats them.
func TestDeletesTogetherAreBounded(t *testing.T) {
	ctx := context.Background()
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{Seed: 1, CacheBytes: -1, ReserveBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	m := labels.MustNewMatcher(labels.MatchEqual, "a", strings.Repeat("x", 1<<20-1))
	db.views.change(func(s *state) {
		s.tombstones = []manifest.Tombstone{{Matchers: slices.Repeat([]*labels.Matcher{m}, 64)}}
	})
	err = db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: 1, Max: 2}, labels.MustNewMatcher(labels.MatchEqual, "a", "b"))
	if !errors.Is(err, ErrDeleteTooLarge) || !strings.Contains(err.Error(), "at most 67108864") {
		t.Fatalf("error %v", err)
	}
}
