package background

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"tsdb/internal/vfs"
)

func TestOutcomeDoublesThePauseUpToItsBound(t *testing.T) {
	start := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	pace := Pace{First: time.Second, Max: 5 * time.Second}
	var o Outcome
	if !o.Due(start) {
		t.Fatal("a job that never ran is not due")
	}
	now := start
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		o = o.Failed(errors.New("no"), now, pace)
		if got := o.Next.Sub(now); got != want || o.Failures != i+1 || !o.Since.Equal(start) {
			t.Errorf("failure %d: %d counted, since %v, next after %v, want %v", i+1, o.Failures, o.Since, got, want)
		}
		if o.Due(o.Next.Add(-1)) || !o.Due(o.Next) {
			t.Errorf("failure %d: due too soon or too late", i+1)
		}
		now = o.Next
	}
}

func TestJobCountsLogsAndShowsItsFailures(t *testing.T) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	var log bytes.Buffer
	jobs := New(clock, slog.New(slog.NewTextHandler(&log, nil)), func(_ string, step func() error) error { return step() })
	job := jobs.Job("cut", Pace{First: time.Second, Max: 4 * time.Second})
	if jobs.Job("cut", Pace{}) != job {
		t.Fatal("two jobs of one name")
	}
	boom := errors.New("boom")
	fails := func(context.Context) error { return boom }
	for range 20 {
		if err := job.Run(t.Context(), fails); err != boom {
			t.Fatal(err)
		}
		if job.Due() {
			t.Fatal("due right after a failure")
		}
		clock.Advance(4 * time.Second)
		if !job.Due() {
			t.Fatal("not due after the pause")
		}
	}
	if f := jobs.Failing(); len(f) != 1 || f[0].Job != "cut" || f[0].Failures != 20 || f[0].Err != boom {
		t.Errorf("failing: %+v", f)
	}
	if n := testutil.ToFloat64(job.failures); n != 20 {
		t.Errorf("%v failures counted", n)
	}
	if n := strings.Count(log.String(), "boom"); n != 2 {
		t.Errorf("%d lines logged in 80 s, want 2:\n%s", n, log.String())
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	_ = job.Run(stopped, func(ctx context.Context) error { return ctx.Err() })
	if f := jobs.Failing(); f[0].Failures != 20 {
		t.Error("the end of the context counts as a failure")
	}
	if err := job.Run(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if f := jobs.Failing(); len(f) != 0 || testutil.ToFloat64(job.failing) != 0 || !strings.Contains(log.String(), "works again") {
		t.Errorf("still failing after a success: %+v", f)
	}
}

// A step that takes minutes shows how far it is, in the log once a minute and as metrics.
func TestJobShowsItsProgress(t *testing.T) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	var log bytes.Buffer
	jobs := New(clock, slog.New(slog.NewTextHandler(&log, nil)), func(_ string, step func() error) error { return step() })
	job := jobs.Job("merge", Pace{First: time.Second, Max: time.Second})
	metric := func(want string) {
		t.Helper()
		if err := testutil.CollectAndCompare(jobs.activity, strings.NewReader(want), "tsdb_background_running", "tsdb_background_progress_ratio", "tsdb_background_seconds_total"); err != nil {
			t.Error(err)
		}
	}
	_ = job.Run(t.Context(), func(context.Context) error {
		tell := job.Progress("3 L0s", "series")
		for i := range uint64(15) {
			clock.Advance(10 * time.Second)
			tell(i+1, 20)
		}
		if a := job.Activity(); !a.Running || a.Work != (Work{What: "3 L0s", Unit: "series", Done: 15, Total: 20}) || a.Work.Share() != 0.75 {
			t.Errorf("%+v", a)
		}
		metric(`
# HELP tsdb_background_progress_ratio How much of the step under way is done, from 0 to 1, by job; 0 if none is, or the job cannot tell.
# TYPE tsdb_background_progress_ratio gauge
tsdb_background_progress_ratio{job="merge"} 0.75
# HELP tsdb_background_running 1 while a step of a background job is under way, by job.
# TYPE tsdb_background_running gauge
tsdb_background_running{job="merge"} 1
# HELP tsdb_background_seconds_total Time that the steps of background jobs took, by job.
# TYPE tsdb_background_seconds_total counter
tsdb_background_seconds_total{job="merge"} 0
`)
		return nil
	})
	if n := strings.Count(log.String(), "under way"); n != 2 {
		t.Errorf("%d lines logged in 150 s, want 2:\n%s", n, log.String())
	}
	a := job.Activity()
	if a.Running || a.Work != (Work{}) || a.Last.What != "3 L0s" || a.Last.Took != 150*time.Second || a.Steps != 1 || a.Seconds != 150 {
		t.Errorf("ended: %+v", a)
	}
	_ = job.Run(t.Context(), func(context.Context) error { return nil }) // a look that finds nothing
	if a := job.Activity(); a.Last.What != "3 L0s" || a.Steps != 2 {
		t.Errorf("after a look: %+v", a)
	}
	job.Working(Work{What: "nothing"}) // no step is under way
	if a := job.Activity(); a.Work != (Work{}) {
		t.Errorf("without a step: %+v", a)
	}
}
