package storage

import (
	"context"
	"time"
)

// The paces of an import beside writers. Writers need about a microsecond of CPU a
// sample, so at the higher rate they use a good part of a CPU.
const (
	paceEvery  = 10 * time.Millisecond // of work between two looks at the writers
	paceMax    = time.Second
	busyWrites = 50_000 // samples a second at which an import takes half of its time
	pausesMax  = 20     // length of a pause, in lengths of the work before it
)

// importPace makes an import pause while writers are busy, so that they keep most of
// their speed. The zero value does not pause at once.
type importPace struct {
	since   time.Time // end of the last pause
	samples int64     // in the active buffer then
}

// pauseAfter returns how long an import should pause after work of some length during
// which writers stored samples.
func pauseAfter(work time.Duration, samples int64) time.Duration {
	if work < paceEvery || samples <= 0 {
		return 0
	}
	rate := float64(samples) / work.Seconds()
	if rate < busyWrites {
		return 0
	}
	return min(time.Duration(float64(work)*min(rate/busyWrites, pausesMax)), paceMax)
}

// pace pauses if the import has worked for long enough and writers are busy.
func (im *Import) pace(ctx context.Context) error {
	now := im.db.opts.Clock.Now()
	work := now.Sub(im.paced.since)
	if work < paceEvery {
		return nil
	}
	written := im.db.writer.active().buf.Stats().Samples
	d := time.Duration(0)
	if !im.paced.since.IsZero() {
		d = pauseAfter(work, written-im.paced.samples)
	}
	if d > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-im.db.opts.Clock.After(d):
		}
		now, written = im.db.opts.Clock.Now(), im.db.writer.active().buf.Stats().Samples
	}
	im.paced = importPace{since: now, samples: written}
	return nil
}
