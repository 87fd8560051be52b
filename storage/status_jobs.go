package storage

import (
	"context"
	"fmt"
	"math"
	"time"

	"tsdb/internal/background"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/rollup"
)

// JobActivity describes what a background job does, as GET /api/v1/status/jobs shows it.
// Times are RFC 3339, empty if there is none.
type JobActivity struct {
	Job   string `json:"job"`
	Phase string `json:"phase"` // running, failing (until the next attempt), waiting (for disk space), or idle
	Since string `json:"since"` // of the phase; of idle and waiting the end of the last step

	// Doing is what a step under way does, empty if it has not said. Done of Total units are done;
	// Total is 0 if that is not known. Progress is their ratio, SecondsLeft an estimate by it.
	Doing       string  `json:"doing"`
	Unit        string  `json:"unit,omitempty"` // series, samples
	Done        uint64  `json:"done"`
	Total       uint64  `json:"total"`
	Progress    float64 `json:"progress"`
	SecondsLeft float64 `json:"secondsLeft"`

	// Upcoming is what is done next, empty if nothing is known of it. Next is when: the next attempt of a failing
	// job; a time that has passed means as soon as the job looks, which is within a minute.
	Upcoming string `json:"upcoming"`
	Next     string `json:"next"`
	Waiting  string `json:"waiting,omitempty"` // why it is not done although it is due

	Last  *JobStep `json:"last"` // that did something; null = none since the start
	Error string   `json:"error,omitempty"`
}

// JobStep is a step that has ended.
type JobStep struct {
	What    string  `json:"what"`
	Ended   string  `json:"ended"`
	Seconds float64 `json:"seconds"`
}

// upcoming is what a job does next.
type upcoming struct {
	what    string
	at      int64  // Unix milliseconds; 0 = not known
	waiting string // why it does not do it although it is due
}

// JobActivities returns what the background jobs do. It reads no files.
func (db *DB) JobActivities() []JobActivity {
	list := []JobActivity{}
	now := db.opts.Clock.Now()
	for _, a := range db.jobs.all.Activities() {
		j := jobActivity(a, now)
		if a.Failures > 0 {
			j.Error = db.withoutDir(a.Err)
		}
		if up := db.upcoming(a.Job); up.what != "" {
			j.Upcoming, j.Waiting = up.what, up.waiting
			if up.waiting != "" && j.Phase == "idle" {
				j.Phase = "waiting"
			}
			if up.at != 0 && j.Next == "" {
				j.Next = rfc3339(up.at)
			}
		}
		list = append(list, j)
	}
	return list
}

func jobActivity(a background.Activity, now time.Time) JobActivity {
	j := JobActivity{Job: a.Job, Phase: "idle", Since: jobTime(a.Ended)}
	switch {
	case a.Running:
		j.Phase, j.Since = "running", jobTime(a.Began)
		j.Doing, j.Unit, j.Done, j.Total, j.Progress = a.Work.What, a.Work.Unit, a.Work.Done, a.Work.Total, a.Work.Share()
		if j.Progress > 0 {
			j.SecondsLeft = now.Sub(a.Began).Seconds() * (1 - j.Progress) / j.Progress
		}
	case a.Failures > 0:
		j.Phase, j.Since, j.Next = "failing", jobTime(a.Outcome.Since), jobTime(a.Next)
	}
	if a.Last.What != "" {
		j.Last = &JobStep{What: a.Last.What, Ended: jobTime(a.Last.Ended), Seconds: a.Last.Took.Seconds()}
	}
	return j
}

func jobTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return rfc3339(t.UnixMilli())
}

// upcoming returns what a job does next.
func (db *DB) upcoming(job string) upcoming {
	switch job {
	case "cut":
		return db.flusher.upcoming()
	case "merge":
		return db.compactor.upcoming()
	case "rollup":
		return db.roller.upcoming()
	case "retain":
		return db.compactor.upcomingFloor()
	}
	return upcoming{}
}

// upcoming returns when the head is cut: by its age, or earlier if it goes on growing as it did.
func (f *flusher) upcoming() upcoming {
	st := f.writer.active().buf.Stats()
	if st.Samples == 0 {
		return upcoming{}
	}
	o, age := &f.opts, f.writer.age()
	at := 4 * o.CutAge
	if uint64(st.Samples) >= denseSamples*uint64(st.Series) {
		at = o.CutAge
	}
	filled := max(float64(st.Bytes)/float64(o.CutHeadBytes), float64(f.writer.logBytes())/float64(o.CutWALBytes))
	if filled > 0 && age >= time.Minute {
		at = min(at, time.Duration(min(float64(age)/filled, float64(at))))
	}
	now := f.opts.Clock.Now()
	return upcoming{what: fmt.Sprintf("cut of %s, %.0f%% of the size at which the head is cut", model.FormatCount(st.Samples, "sample"), 100*filled), at: now.Add(max(0, at-age)).UnixMilli()}
}

// forecastMs is how far ahead it is asked when a merge or a rollup is due, without anything
// else happening: the longest that a planner lets a block wait.
const forecastMs = 73 * model.HourMs

// firstDue returns the first time, to the minute, at which due says that there is something to
// do. It is asked again and again, and must not change its mind once it has said so.
func firstDue(now int64, due func(at int64) (what string, ok bool)) upcoming {
	if what, ok := due(now); ok {
		return upcoming{what: what, at: now}
	}
	what, ok := due(now + forecastMs)
	if !ok {
		return upcoming{}
	}
	lo, hi := now, now+forecastMs // not due, due
	for hi-lo > model.MinuteMs {
		mid := lo + (hi-lo)/2
		if w, ok := due(mid); ok {
			hi, what = mid, w
		} else {
			lo = mid
		}
	}
	return upcoming{what: what, at: hi}
}

// upcoming returns the next merge.
func (c *compactor) upcoming() upcoming {
	v := c.catalog.set.Acquire()
	defer v.Release()
	o := c.planOptions(context.Background(), v, math.MaxUint64)
	blocks := compaction.Candidates(v, nil)
	now := o.NowMs
	plan := func(at int64) (string, bool) {
		o.NowMs = at
		next, ok := compaction.PlanMerge(blocks, o)
		return next.Reason, ok
	}
	up := firstDue(now, plan)
	if up.at == now && up.what != "" {
		if free, err := c.fs.FreeBytes(c.dir); err == nil {
			if o.FreeBytes = free; o.FreeBytes < math.MaxUint64 {
				if _, ok := plan(now); !ok {
					up.waiting = model.FormatBytes(int64(free)) + " of free disk space are not enough"
				}
			}
		}
	}
	return up
}

// upcoming returns the next step.
func (r *roller) upcoming() upcoming {
	v := r.catalog.set.Acquire()
	defer v.Release()
	o := r.planOptions(context.Background(), v)
	o.FreeBytes, o.ExpiredBytes = math.MaxUint64, math.MaxUint64
	now := o.NowMs
	up := firstDue(now, func(at int64) (string, bool) {
		o.NowMs = at
		step, ok := rollup.Plan(v.State(), o)
		return step.Reason, ok
	})
	if up.at == now && up.what != "" {
		up.waiting = r.waiting()
	}
	return up
}

// upcomingFloor returns when retention moves: with the next day.
func (c *compactor) upcomingFloor() upcoming {
	p := c.policy.Load()
	ms := p.shortestRaw()
	if ms == 0 {
		return upcoming{}
	}
	at := block.Raw.PartitionRange(c.now()).Max
	what := "samples of "
	if len(p.rules) > 0 {
		what = "samples that a rule keeps shortest, of "
	}
	day := compaction.RetentionTarget(at, ms) - model.DayMs
	return upcoming{what: what + rfc3339(day)[:len("2006-01-02")] + " leave", at: at}
}
