package storage

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"tsdb/internal/background"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
)

func TestStatusShowsWhatJobsDo(t *testing.T) {
	w := newTieredWorld(t)
	job := w.db.Job("test", background.Pace{First: time.Minute, Max: time.Minute})
	shown := func(name string) JobActivity {
		t.Helper()
		for _, j := range w.db.JobActivities() {
			if j.Job == name {
				return j
			}
		}
		t.Fatalf("no job %s", name)
		return JobActivity{}
	}
	same := func(when string, want JobActivity) {
		t.Helper()
		if got := shown("test"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	same("never ran", JobActivity{Job: "test", Phase: "idle"})
	now := jobTime(w.clock.Now())
	_ = job.Run(w.ctx, func(context.Context) error {
		same("runs", JobActivity{Job: "test", Phase: "running", Since: now})
		tell := job.Progress("a test", "series")
		w.clock.Advance(3 * time.Second)
		tell(25, 100)
		same("is on its way", JobActivity{Job: "test", Phase: "running", Since: now, Doing: "a test", Unit: "series", Done: 25, Total: 100, Progress: 0.25, SecondsLeft: 9})
		return nil
	})
	now = jobTime(w.clock.Now())
	last := &JobStep{What: "a test", Ended: now, Seconds: 3}
	same("ran", JobActivity{Job: "test", Phase: "idle", Since: now, Last: last})
	_ = job.Run(w.ctx, func(context.Context) error { return errors.New("no") })
	same("failed", JobActivity{Job: "test", Phase: "failing", Since: now, Next: jobTime(w.clock.Now().Add(time.Minute)), Last: last, Error: "no"})
	if got := shown("merge"); got.Upcoming != "" {
		t.Errorf("an empty database is to be merged: %+v", got)
	}
}

// What is announced happens at its time, and not a minute earlier.
func TestAnnouncedWorkHappens(t *testing.T) {
	w := newTieredWorld(t)
	shown := func(name string) JobActivity {
		t.Helper()
		for _, j := range w.db.JobActivities() {
			if j.Job == name {
				return j
			}
		}
		t.Fatalf("no job %s", name)
		return JobActivity{}
	}
	due := func(j JobActivity) time.Time {
		t.Helper()
		at, err := time.Parse(time.RFC3339, j.Next)
		if err != nil {
			t.Fatalf("%+v: %v", j, err)
		}
		return at
	}
	w.write(0, every(dayAt(0)+model.HourMs, 60_000, 100))
	if cut := shown("cut"); cut.Upcoming == "" || !due(cut).After(w.clock.Now()) {
		t.Errorf("with samples in memory: %+v", cut)
	}
	_, err := w.db.Flush(w.ctx)
	must(t, err)
	merge := shown("merge")
	if merge.Upcoming == "" || merge.Phase != "idle" {
		t.Fatalf("with a cut: %+v", merge)
	}
	worked := func() bool {
		t.Helper()
		worked, err := w.db.compactor.mergeNext(w.ctx, compaction.PlanMerge)
		must(t, err)
		return worked
	}
	w.clock.Advance(due(merge).Sub(w.clock.Now()) - 2*time.Minute)
	if worked() {
		t.Error("a merge two minutes before its time")
	}
	w.clock.Advance(2 * time.Minute)
	if !worked() {
		t.Error("no merge at its time")
	}
	if done := shown("merge").Last; done == nil || done.What != merge.Upcoming {
		t.Errorf("done: %+v, announced: %+v", done, merge)
	}
	w.compact()
	closeUncut(w.db)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 365 * model.DayMs}
	w.opts.RetentionMs = 30 * model.DayMs
	w.open()
	if roll := shown("rollup"); roll.Upcoming == "" && w.rollAll() > 0 {
		t.Error("no rollup is announced though one is due")
	}
	retain := shown("retain")
	if tomorrow := time.UnixMilli(block.Raw.PartitionRange(w.clock.Now().UnixMilli()).Max); !due(retain).Equal(tomorrow) {
		t.Errorf("retention moves tomorrow: %+v", retain)
	}
}
