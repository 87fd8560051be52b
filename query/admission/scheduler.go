package admission

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How queries share the cores.
const (
	// heavyAfter is the time on cores that makes a query a heavy one.
	heavyAfter = 20 * time.Millisecond
	// longAfter is the time on cores after which a heavy query no longer sits in
	// a light one's place if somebody wants that.
	longAfter = 5 * heavyAfter
	// lightSlotsFactor is how many times the cores light queries have together at most.
	// They wait for a page of a file or for memory now and then; one that does
	// is not to hold up the others.
	lightSlotsFactor = 2
	// timeSlice is how long a query keeps a core that others want.
	timeSlice = time.Millisecond
	// maxHeavyWait is how long light queries may keep every core from heavy
	// ones at a time.
	maxHeavyWait = 10 * time.Millisecond
	// oldestFirstEvery: every so many turns go to the heavy query that waits longest.
	oldestFirstEvery = 8
	// tickInterval is how often the rules are applied again while anybody works or
	// waits: some hold by the clock alone.
	tickInterval = 5 * time.Millisecond
	// cpuSampleInterval is how often the process' CPU time is looked at, at most: that
	// costs a system call.
	cpuSampleInterval = time.Millisecond / 2
)

// Scheduler lets as many goroutines evaluate queries at a time as there are cores,
// and decides whose they are. It is safe for concurrent use.
//
// A query is light until it has worked for lightWork. Light ones take cores
// before heavy ones, and do not wait until those give way, which takes the heavy
// ones a millisecond: while they stand still, a small query beside many big ones
// is as fast as alone. Nobody says beforehand which a query is, and what works
// on and on without giving way, a sort, a selection, becomes heavy all the same.
//
// Among light queries, and among heavy ones, those that have worked least come
// first, by powers of two: a small query need not wait for twenty new ones of
// which nobody knows yet how big they are, nor one of a tenth of a second for
// those of minutes. The heavy query that waits longest gets every eighth turn,
// and heavy ones a core for a millisecond in ten however many light ones there
// are: all get on.
//
// Work is CPU time, as far as it can be known: of the time that a query has cores
// counts the share that the process has been given CPUs for. On a machine that
// does other things, or while deaf work holds more cores than there are, a small
// query is not taken for a heavy one because it was kept waiting.
type Scheduler struct {
	slots     int
	cpu       func() time.Duration // of the process so far; nil = not known
	contended atomic.Bool          // somebody waits, or more cores are in use than there are

	mu struct {
		sync.Mutex
		inUse   int // cores, those of light queries that did not wait among them
		light   int // of them, of light queries; at most lightCrowd × total
		working []*CPUShare
		waiting []*waiter // in the order of their coming
		turns   uint      // of heavy queries
		lastTo  time.Time // when a heavy query had a core last, if none has
		ticking bool
		work    workClock
	}
}

// CPUShare is what one query has of the cores. A goroutine works for the query
// between begin and end. Methods may be called by all of them.
type CPUShare struct {
	scheduler *Scheduler
	heavy     atomic.Bool
	long      atomic.Bool  // has worked for longWork
	since     atomic.Int64 // Unix nanoseconds of the last turn

	// Guarded by cores.mu.
	inUse   int           // cores
	used    time.Duration // on cores, until counted
	counted time.Duration // by the clock of work
}

// workClock goes as fast as time while the cores in use do work, and slower
// while they wait for CPUs.
type workClock struct {
	now     time.Duration
	sampled time.Time
	cpu     time.Duration // of the process, then
	cores   time.Duration // in use since: cores × time
	counted time.Time
}

// advance moves the clock on to now; so many cores were in use since it was
// moved last.
func (w *workClock) advance(now time.Time, cores int, cpu func() time.Duration) {
	w.cores += time.Duration(cores) * now.Sub(w.counted)
	w.counted = now
	past := now.Sub(w.sampled)
	if past < cpuSampleInterval {
		return
	}
	if cpu != nil {
		total := cpu()
		if spent := total - w.cpu; spent < w.cores {
			past = time.Duration(float64(past) * float64(spent) / float64(w.cores))
		}
		w.cpu = total
	}
	w.now += past
	w.sampled, w.cores = now, 0
}

// waiter is a goroutine in line for a core.
type waiter struct {
	share   *CPUShare
	ready   bool          // it has one
	granted chan struct{} // closed when it gets one; nil if it never waited
}

func NewScheduler(n int, cpu func() time.Duration) *Scheduler {
	c := &Scheduler{slots: n, cpu: cpu}
	c.mu.work.sampled = time.Now()
	c.mu.work.counted = c.mu.work.sampled
	return c
}

// Slots returns the number of CPU slots.
func (c *Scheduler) Slots() int { return c.slots }

// NewShare returns the share of a new query.
func (c *Scheduler) NewShare() *CPUShare { return &CPUShare{scheduler: c} }

// Acquire waits for a core. When ctx ends it returns without waiting, and has a
// core all the same: what is left to do is to go.
func (s *CPUShare) Acquire(ctx context.Context) {
	c := s.scheduler
	c.mu.Lock()
	w := c.enqueueLocked(s)
	c.mu.Unlock()
	c.wait(ctx, w)
}

// Release gives the core back.
func (s *CPUShare) Release() {
	c := s.scheduler
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revokeLocked(s, time.Now())
	c.scheduleLocked()
}

// yield lets others have the core if it is their turn. What works long calls
// it now and then; it costs next to nothing while nobody waits. It returns as
// begin does.
func (s *CPUShare) yield(ctx context.Context) {
	c := s.scheduler
	if !c.contended.Load() || time.Now().UnixNano()-s.since.Load() < int64(timeSlice) {
		return
	}
	c.mu.Lock()
	c.revokeLocked(s, time.Now())
	w := c.enqueueLocked(s)
	c.mu.Unlock()
	c.wait(ctx, w)
}

// enqueueLocked gets in line for a core.
func (c *Scheduler) enqueueLocked(s *CPUShare) *waiter {
	w := &waiter{share: s}
	c.mu.waiting = append(c.mu.waiting, w)
	c.scheduleLocked()
	if !w.ready {
		w.granted = make(chan struct{})
	}
	return w
}

func (c *Scheduler) wait(ctx context.Context, w *waiter) {
	if w.granted == nil {
		return
	}
	select {
	case <-w.granted:
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.mu.waiting, w); i >= 0 {
			c.mu.waiting = slices.Delete(c.mu.waiting, i, i+1)
			c.grantLocked(w.share, time.Now())
			c.scheduleLocked()
		}
	}
}

// scheduleLocked applies the rules: it notes who has become heavy and gives out
// cores.
func (c *Scheduler) scheduleLocked() {
	now := time.Now()
	c.mu.work.advance(now, c.mu.inUse, c.cpu)
	for _, s := range c.mu.working {
		used := c.usedLocked(s)
		if !s.heavy.Load() && used >= heavyAfter {
			s.heavy.Store(true)
			c.mu.light -= s.inUse
		}
		if used >= longAfter {
			s.long.Store(true)
		}
	}
	for {
		i := c.nextLocked(now)
		if i < 0 {
			break
		}
		w := c.mu.waiting[i]
		c.mu.waiting = slices.Delete(c.mu.waiting, i, i+1)
		c.grantLocked(w.share, now)
		if w.ready = true; w.granted != nil {
			close(w.granted)
		}
	}
	c.contended.Store(len(c.mu.waiting) > 0 || c.mu.inUse > c.slots)
	if (len(c.mu.working) > 0 || len(c.mu.waiting) > 0) && !c.mu.ticking {
		c.mu.ticking = true
		time.AfterFunc(tickInterval, c.tick)
	}
}

func (c *Scheduler) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.ticking = false
	c.scheduleLocked()
}

// nextLocked returns who of those waiting gets a core now, -1 if nobody does.
func (c *Scheduler) nextLocked(now time.Time) int {
	light, oldest, least := -1, -1, -1
	before := func(i, j int) bool {
		return j < 0 || c.rankLocked(c.mu.waiting[i].share) < c.rankLocked(c.mu.waiting[j].share)
	}
	for i, w := range c.mu.waiting {
		first := &least
		if !w.share.heavy.Load() {
			first = &light
		} else if oldest < 0 {
			oldest = i
		}
		if before(i, *first) {
			*first = i
		}
	}
	if light >= 0 && c.mu.light < lightSlotsFactor*c.slots {
		return light
	}
	heavy := c.mu.inUse - c.mu.light
	if oldest < 0 || c.mu.inUse >= c.slots && (heavy > 0 || now.Sub(c.mu.lastTo) < maxHeavyWait) {
		return -1
	}
	if c.mu.turns++; c.mu.turns%oldestFirstEvery == 0 {
		return oldest
	}
	return least
}

// usedLocked returns how long a query has worked.
func (c *Scheduler) usedLocked(s *CPUShare) time.Duration {
	return s.used + time.Duration(s.inUse)*(c.mu.work.now-s.counted)
}

// rankLocked orders queries: those of the lowest come first.
func (c *Scheduler) rankLocked(s *CPUShare) int {
	return bits.Len64(uint64(c.usedLocked(s) / timeSlice))
}

func (c *Scheduler) grantLocked(s *CPUShare, now time.Time) {
	if s.inUse == 0 {
		c.mu.working = append(c.mu.working, s)
	}
	c.countLocked(s, now, 1)
	s.since.Store(now.UnixNano())
}

func (c *Scheduler) revokeLocked(s *CPUShare, now time.Time) {
	c.countLocked(s, now, -1)
	if s.inUse == 0 {
		i := slices.Index(c.mu.working, s)
		c.mu.working = slices.Delete(c.mu.working, i, i+1)
	}
}

// countLocked adds n to the cores of a query.
func (c *Scheduler) countLocked(s *CPUShare, now time.Time, n int) {
	c.mu.work.advance(now, c.mu.inUse, c.cpu)
	s.used, s.counted = c.usedLocked(s), c.mu.work.now
	s.inUse += n
	c.mu.inUse += n
	if !s.heavy.Load() {
		c.mu.light += n
	} else {
		c.mu.lastTo = now
	}
}
