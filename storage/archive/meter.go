package archive

import (
	"context"
	"time"

	"tsdb/internal/vfs"
)

// progressEvery is the interval between two reports of progress.
const progressEvery = time.Second

// meter bounds the rate of a transfer and reports its progress. It is not safe for
// concurrent use.
type meter struct {
	clock    vfs.Clock
	rate     int64 // bytes a second; 0 = no bound
	report   func(Progress)
	began    time.Time
	reported time.Time
	total    int64
	done     int64 // transferred or found to be there
	sent     int64 // transferred
}

func newMeter(clock vfs.Clock, rate int64, report func(Progress)) *meter {
	now := clock.Now()
	return &meter{clock: clock, rate: rate, report: report, began: now, reported: now}
}

// skip counts bytes that need not be transferred.
func (m *meter) skip(n int64) { m.done += n }

// through returns a function that is called before n bytes are transferred. It waits as
// the rate demands.
func (m *meter) through(ctx context.Context) func(n int) error {
	return func(n int) error {
		if m.rate > 0 {
			due := m.began.Add(time.Duration(float64(m.sent) / float64(m.rate) * float64(time.Second)))
			if wait := due.Sub(m.clock.Now()); wait > 0 {
				select {
				case <-ctx.Done():
				case <-m.clock.After(wait):
				}
			}
		}
		m.sent += int64(n)
		m.done += int64(n)
		if now := m.clock.Now(); m.report != nil && now.Sub(m.reported) >= progressEvery {
			m.reported = now
			m.report(m.progress(now))
		}
		return ctx.Err()
	}
}

func (m *meter) progress(now time.Time) Progress {
	return Progress{Done: m.done, Total: max(m.total, m.done), Elapsed: now.Sub(m.began)}
}

// finish reports the end.
func (m *meter) finish() {
	if m.report != nil {
		m.report(m.progress(m.clock.Now()))
	}
}
