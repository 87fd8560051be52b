package storage

import (
	"context"
	"errors"
	"testing"
	"time"

	"tsdb/internal/background"
	"tsdb/internal/model"
	"tsdb/partition/block"
)

func TestStatusShowsWhatJobsDo(t *testing.T) {
	w := newTieredWorld(t)
	job := w.db.Job("test", background.Pace{First: time.Minute, Max: time.Minute})
	shown := func(name string) JobActivity {
		t.Helper()
		st, err := w.db.Status()
		must(t, err)
		for _, j := range st.Jobs {
			if j.Job == name {
				return j
			}
		}
		t.Fatalf("no job %s in %+v", name, st.Jobs)
		return JobActivity{}
	}
	if got := shown("test"); got != (JobActivity{Job: "test", Phase: "idle"}) {
		t.Errorf("never ran: %+v", got)
	}
	now := jobTime(w.clock.Now())
	_ = job.Run(w.ctx, func(context.Context) error {
		if got := shown("test"); got != (JobActivity{Job: "test", Phase: "running", Since: now}) {
			t.Errorf("runs: %+v", got)
		}
		return nil
	})
	if got := shown("test"); got != (JobActivity{Job: "test", Phase: "idle", Since: now}) {
		t.Errorf("ran: %+v", got)
	}
	_ = job.Run(w.ctx, func(context.Context) error { return errors.New("no") })
	if got := shown("test"); got != (JobActivity{Job: "test", Phase: "failing", Since: now, Next: jobTime(w.clock.Now().Add(time.Minute))}) {
		t.Errorf("failed: %+v", got)
	}
	w.write(0, every(dayAt(1), 1000, 100))
	w.compact()
	closeUncut(w.db)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 365 * model.DayMs}
	w.open()
	if got := w.db.roller.upcoming(); got == "" && w.rollAll() > 0 {
		t.Error("no rollup is announced though one is due")
	}
}
