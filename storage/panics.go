package storage

import (
	"errors"

	"tsdb/internal/panics"
)

// guarded runs a step of a background job. A panic of it becomes an error, so
// that it costs the step and not the process: it is counted, logged with its
// stack, and tried again as any failure is. One that a merge has made an error of
// already is counted too.
func (db *DB) guarded(job string, step func() error) (err error) {
	defer func() {
		var p *panics.Error
		if errors.As(err, &p) {
			db.metrics.panics.WithLabelValues(job).Inc()
			db.log.Error("background job panicked", "job", job, "panic", p.Value, "stack", string(p.Stack))
		}
	}()
	defer panics.Catch(&err)
	return step()
}
