package storage

import (
	"fmt"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// The status names each day that differs from its samples, why, since when, and when it
// is rolled up anew.
func TestStatusNamesDaysThatWait(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.restart()
	waiting := func() string {
		t.Helper()
		text := ""
		for _, d := range w.db.RollupStatus().WaitingDays {
			text += fmt.Sprint(d.Tier, " ", d.Day, " ", d.Reasons, " ")
		}
		return text
	}
	for i := range 2 {
		w.write(i, every(dayAt(3)+7, 60_000, 100), every(dayAt(2)+7, 60_000, 100))
	}
	w.flush()
	day := func(ago int) string { return time.UnixMilli(dayAt(ago)).UTC().Format(time.DateOnly) }
	w.compact()
	if got := waiting(); got != "" {
		t.Errorf("clean days wait: %s", got)
	}
	w.write(0, one(dayAt(3)+5*model.HourMs, 1))
	w.flush()
	now := rfc3339(w.clock.Now().UnixMilli())
	st := w.db.RollupStatus().WaitingDays
	if len(st) != 1 || waiting() != "1h "+day(3)+" [newer_samples] " || st[0].Since != now || st[0].Next == "" {
		t.Errorf("late samples: %+v", st)
	}
	w.compact()
	w.remove(1, model.TimeRange{Min: dayAt(2), Max: dayAt(1)})
	w.flush()
	if got := waiting(); got != "1h "+day(2)+" [deletion] " {
		t.Errorf("a deletion: %s", got)
	}
	w.compact()
	if got := waiting(); got != "" {
		t.Errorf("in the end %s", got)
	}
}
