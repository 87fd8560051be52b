package storage

import (
	"reflect"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// Deletions show where they may concern the selection, damage where it is, and the count of
// changes rises with both late samples and deletions of the metric.
func TestFlawsOfASelection(t *testing.T) {
	w := newTieredWorld(t)
	from := dayAt(1) + model.HourMs
	for i := range 3 {
		w.write(i, every(from, 15_000, 240))
	}
	w.flush()
	equal := func(name, value string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, name, value) }
	all := model.TimeRange{Min: from, Max: from + model.HourMs}
	flaws := func(ms ...*labels.Matcher) Flaws {
		t.Helper()
		v := w.view()
		defer v.Release()
		f, err := v.Flaws(w.ctx, model.DefaultTenant, all, ms...)
		must(t, err)
		return f
	}
	changes := func() uint64 {
		return w.db.Changes().Sum(all, model.MetricsOf([]*labels.Matcher{equal("__name__", "m")}))
	}
	m := equal("__name__", "m")
	if f := flaws(m); f.Deleted != nil || f.Damaged != nil {
		t.Errorf("%+v", f)
	}
	before := changes()
	w.remove(1, model.TimeRange{Min: from + 60_000, Max: from + 120_000})
	w.remove(2, model.TimeRange{Min: from + 90_000, Max: from + 2*model.HourMs})
	want := []model.TimeRange{{Min: from + 60_000, Max: all.Max}}
	if f := flaws(m); !reflect.DeepEqual(f.Deleted, want) {
		t.Errorf("of all: %v, want %v", f.Deleted, want)
	}
	want = []model.TimeRange{{Min: from + 60_000, Max: from + 120_000}}
	if f := flaws(m, equal("i", "1")); !reflect.DeepEqual(f.Deleted, want) {
		t.Errorf("of one: %v, want %v", f.Deleted, want)
	}
	if f := flaws(m, equal("i", "0")); f.Deleted != nil {
		t.Errorf("of another: %v", f.Deleted)
	}
	deleted := changes()
	w.write(0, one(from+7, 1))
	if late := changes(); deleted <= before || late <= deleted {
		t.Errorf("changes: %d, after deletions %d, after a late sample %d", before, deleted, late)
	}

	// A block that cannot be opened is damaged from its first to its last sample.
	w.damaged = true
	blocks, err := w.db.Blocks()
	must(t, err)
	closeUncut(w.db)
	must(t, w.mem.Remove("data/"+blocks[0].Name))
	w.open()
	if f := flaws(m); len(f.Damaged) != 1 || f.Damaged[0].Min != all.Min || f.Damaged[0].Max <= all.Max-60_000 {
		t.Errorf("damaged: %v of %v", f.Damaged, all)
	}
}
