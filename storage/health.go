package storage

import (
	"fmt"
	"path"
	"strings"
	"time"

	"tsdb/internal/background"
)

// Health returns nil while the database accepts writes, and otherwise the reason: a failed log, a manifest that cannot be written,
// a full disk, a head that is full because cuts fail.
func (db *DB) Health() error {
	if err := db.lock.failure(); err != nil {
		return err
	}
	if err := db.wal.Err(); err != nil {
		return walError(err)
	}
	if err := db.manifest.Err(); err != nil {
		return err
	}
	if why := db.space.refusal(); why != "" {
		return fmt.Errorf("%w: %s", ErrBusy, why)
	}
	if o := db.jobs.cut.Outcome(); o.Failures > 0 && db.flusher.headFull() {
		return fmt.Errorf("writes are refused: %s", db.describeFailure(background.Status{Job: "cut", Outcome: o}))
	}
	return nil
}

// Warnings returns a sentence for each background job that fails, with the time
// of the first failure and the reason. Writes are accepted nevertheless.
func (db *DB) Warnings() []string {
	var list []string
	for _, f := range db.jobs.all.Failing() {
		list = append(list, db.describeFailure(f))
	}
	if w := db.bound.warning(); w != "" {
		list = append(list, w)
	}
	return list
}

// jobNames are the jobs as a sentence about their failure names them.
var jobNames = map[string]string{
	"space":      "measurements of the free disk space",
	"reserve":    "attempts to make the reserve file",
	"cut":        "cuts",
	"release":    "releases of log segments",
	"merge":      "merges",
	"rollup":     "rollups",
	"retain":     "moves of the retention floor",
	"sweep":      "removals of files",
	"tombstones": "removals of spent deletions",

	"self-scrape": "scrapes of the server's own metrics",
}

func (db *DB) describeFailure(f background.Status) string {
	name := jobNames[f.Job]
	if name == "" {
		name = "runs of the job " + f.Job
	}
	times := "once"
	if f.Failures > 1 {
		times = fmt.Sprintf("%d times", f.Failures)
	}
	return fmt.Sprintf("%s are failing since %s (%s, for %v), the next attempt is at %s: %s", name, f.Since.UTC().Format(time.RFC3339), times,
		db.opts.Clock.Now().Sub(f.Since).Round(time.Second), f.Next.UTC().Format(time.RFC3339), db.withoutDir(f.Err))
}

// withoutDir returns the text of an error without the path of the data directory,
// which clients must not see.
func (db *DB) withoutDir(err error) string {
	if !path.IsAbs(db.dir) {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), strings.TrimSuffix(db.dir, "/")+"/", "")
}

// JobStatus is a background job that fails.
type JobStatus struct {
	Job      string `json:"job"`
	Since    string `json:"since"`    // RFC 3339
	Failures int    `json:"failures"` // in a row
	Next     string `json:"next"`     // time of the next attempt
	Error    string `json:"error"`
}

func (db *DB) failingJobs() []JobStatus {
	list := []JobStatus{}
	for _, f := range db.jobs.all.Failing() {
		list = append(list, JobStatus{Job: f.Job, Since: rfc3339(f.Since.UnixMilli()), Failures: f.Failures,
			Next: rfc3339(f.Next.UnixMilli()), Error: db.withoutDir(f.Err)})
	}
	return list
}
