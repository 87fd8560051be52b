package storage

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// The samples of a range are counted one by one, in memory and in blocks. Beyond a number
// of times read, runs and chunks that the range cuts count as a whole. Both are bounds.
func TestExplainCountsTheSamplesInside(t *testing.T) {
	w := newTieredWorld(t)
	from := dayAt(1) + model.HourMs
	for i := range 3 {
		w.write(i, every(from+int64(i), 15_000, 240))
		w.write(i, one(from+7, 1)) // late
	}
	tr := model.TimeRange{Min: from + 600_000, Max: from + 1_200_000}
	cost := func(counted int) Cost {
		t.Helper()
		v := w.view()
		defer v.Release()
		set, err := v.Select(w.ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
		must(t, err)
		c := coster{state: v.st, counted: counted}
		for i := range set.Len() {
			must(t, c.add(set.At(i), tr))
		}
		return c.sum()
	}
	for _, where := range []string{"in memory", "in blocks"} {
		if got := cost(0); got.Samples != 3*40 || got.Bytes == 0 {
			t.Errorf("%s: %+v", where, got)
		}
		if got := cost(countedMax); got.Samples <= 3*40 || got.Samples > 3*241 {
			t.Errorf("%s, not counted: %+v", where, got)
		}
		w.flush()
	}
}
