package storage

import (
	"context"
	"math"
	"time"

	"tsdb/partition/compaction"
	"tsdb/rollup"
)

// JobActivity describes what a background job does. Times are RFC 3339, empty if there
// is none.
type JobActivity struct {
	Job   string `json:"job"`
	Phase string `json:"phase"` // running, failing (until the next attempt), or idle
	Since string `json:"since"` // of the phase; of idle the end of the last step
	Next  string `json:"next"`  // attempt of a failing job
	// Upcoming is what a merge or rollup does, or will do as soon as there is space and the
	// job looks again.
	Upcoming string  `json:"upcoming,omitempty"`
	Progress float64 `json:"progress"` // of a rollup under way, 0 to 1
}

// jobActivities returns what the background jobs do.
func (db *DB) jobActivities() []JobActivity {
	list := []JobActivity{}
	for _, a := range db.jobs.all.Activities() {
		j := JobActivity{Job: a.Job, Phase: "idle", Since: jobTime(a.Ended)}
		switch {
		case a.Running:
			j.Phase, j.Since = "running", jobTime(a.Began)
		case a.Failures > 0:
			j.Phase, j.Since, j.Next = "failing", jobTime(a.Outcome.Since), jobTime(a.Next)
		}
		switch a.Job {
		case "merge":
			j.Upcoming = db.compactor.upcoming()
		case "rollup":
			j.Upcoming = db.roller.upcoming()
			if s := db.roller.progress.status(); s != nil && s.SeriesTotal > 0 {
				j.Upcoming, j.Progress = s.Why, float64(s.SeriesDone)/float64(s.SeriesTotal)
			}
		}
		list = append(list, j)
	}
	return list
}

func jobTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return rfc3339(t.UnixMilli())
}

// upcoming returns the reason of the next merge, "" if none is due.
func (c *compactor) upcoming() string {
	v := c.catalog.set.Acquire()
	defer v.Release()
	plan, ok := compaction.PlanMerge(compaction.Candidates(v, nil), c.planOptions(context.Background(), v, math.MaxUint64))
	if !ok {
		return ""
	}
	return plan.Reason
}

// upcoming returns the reason of the next step, "" if none is due.
func (r *roller) upcoming() string {
	v := r.catalog.set.Acquire()
	defer v.Release()
	o := r.planOptions(context.Background(), v)
	o.FreeBytes, o.ExpiredBytes = math.MaxUint64, math.MaxUint64
	step, ok := rollup.Plan(v.State(), o)
	if !ok {
		return ""
	}
	return step.Reason
}
