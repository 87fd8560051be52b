package storage

import (
	"context"
	"sync"
	"time"
)

// The paces of an import beside writers. Writers need about a microsecond of CPU a
// sample, so at the higher rate they use a good part of a CPU.
const (
	paceEvery  = 10 * time.Millisecond // of work between checks of the rate of writes
	paceMax    = time.Second
	busyWrites = 50_000 // samples a second at which an import takes half of its time
	pausesMax  = 30     // length of a pause, in lengths of the work before it
)

// writeLoad measures how busy writers are. It is safe for concurrent use; the zero value has
// seen none.
type writeLoad struct {
	mu      sync.Mutex
	writing int           // commits under way
	since   time.Time     // when the first of them began
	busy    time.Duration // with at least one, up to since
	samples int64         // of all commits
}

func (l *writeLoad) begin(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing++; l.writing == 1 {
		l.since = now
	}
}

func (l *writeLoad) end(now time.Time, samples int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples += int64(samples)
	if l.writing--; l.writing == 0 {
		l.busy += now.Sub(l.since)
	}
}

// total returns the samples of all commits, and the time in which there was at least one.
func (l *writeLoad) total(now time.Time) (samples int64, busy time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	busy = l.busy
	if l.writing > 0 {
		busy += now.Sub(l.since)
	}
	return l.samples, busy
}

// importPace makes an import pause while writers are busy, so that they keep most of
// their speed. The zero value does not pause at once.
type importPace struct {
	looked  time.Time     // at the writers, before the last pause
	since   time.Time     // end of the last pause
	samples int64         // of all commits when it looked
	busy    time.Duration // of writers then
}

// pauseAfter returns how long an import should pause after work of some length. In period, which
// ends with the work, writers have stored samples and were busy for some time. Few samples are no
// reason to pause. Of more, the rate is one, and the share of the time in which there is something to
// write the other: writers that have always something are as fast as the machine lets them, however
// slow that is beside other programs.
func pauseAfter(work, period time.Duration, samples int64, busy time.Duration) time.Duration {
	if work < paceEvery || period < work {
		return 0
	}
	rate := float64(samples) / period.Seconds() / busyWrites
	if rate < 1 {
		return 0
	}
	saturation := float64(busy) / float64(period)
	pauses := min(max(rate, saturation*pausesMax), pausesMax)
	return min(time.Duration(float64(work)*pauses), paceMax)
}

// pace pauses if the import has worked for long enough and writers are busy.
func (im *Import) pace(ctx context.Context) error {
	clock := im.db.opts.Clock
	now := clock.Now()
	work := now.Sub(im.paced.since)
	if work < paceEvery {
		return nil
	}
	samples, busy := im.db.load.total(now)
	d := time.Duration(0)
	if !im.paced.since.IsZero() {
		d = pauseAfter(work, now.Sub(im.paced.looked), samples-im.paced.samples, busy-im.paced.busy)
	}
	im.paced = importPace{looked: now, since: now, samples: samples, busy: busy}
	if d == 0 {
		return nil
	}
	im.db.metrics.importPauses.Add(d.Seconds())
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-clock.After(d):
	}
	im.paced.since = clock.Now()
	return nil
}

// paceCutting is pace for work during which no cut can begin: it does not pause while the head or
// the log is half as large as at a cut.
func (r *importRun) paceCutting(ctx context.Context) error {
	w := r.db.writer
	if w.active().buf.Stats().Bytes >= r.db.opts.CutHeadBytes/2 || w.logBytes() >= r.db.opts.CutWALBytes/2 {
		return ctx.Err()
	}
	return r.pace(ctx)
}
