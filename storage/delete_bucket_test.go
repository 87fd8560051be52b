package storage

import (
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/storage/doctor"
)

// A deletion of the samples of a bucket makes the day dirty also if it ends before the
// bucket does, and so before every row of the series.
func TestDeletionInsideOfABucketIsApplied(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.restart()
	from := dayAt(3) + 20*model.MinuteMs
	w.write(1, every(from, 1000, 60))
	w.compact()
	w.remove(1, model.TimeRange{Min: from - model.MinuteMs, Max: from + 10*model.MinuteMs})
	w.flush()
	for worked := true; worked; {
		var err error
		worked, err = w.db.roller.rollNext(w.ctx, false)
		must(t, err)
	}
	report, err := doctor.Check(w.ctx, w.mem, "data")
	must(t, err)
	for _, d := range report.Damage {
		t.Error(d)
	}
	for _, c := range w.db.manifest.State().Coverage {
		if c.Block != "" {
			t.Errorf("the deleted bucket is still in %s", c.Block)
		}
	}
}
