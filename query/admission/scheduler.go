package admission

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The rules by which queries share the CPU slots.
const (
	// heavyAfter is the work after which a query becomes heavy.
	heavyAfter = 20 * time.Millisecond
	// longAfter is the work after which a heavy query gives up its light slot of
	// the queue to a waiting light query.
	longAfter = 5 * heavyAfter
	// lightSlotsFactor × slots is the number of CPU slots that light queries may
	// hold together. A light query that waits for file pages or memory must not
	// block the others.
	lightSlotsFactor = 2
	// timeSlice is the time a query keeps a CPU slot while others wait for one.
	timeSlice = time.Millisecond
	// maxHeavyWait is the maximum time for which light queries may keep all slots
	// from heavy ones.
	maxHeavyWait = 10 * time.Millisecond
	// oldestFirstEvery is the interval, in turns of heavy queries, at which the
	// query that has waited longest gets the turn.
	oldestFirstEvery = 8
	// tickInterval is the interval at which the rules are applied while queries
	// work or wait, because some rules depend only on elapsed time.
	tickInterval = 5 * time.Millisecond
	// cpuSampleInterval is the minimum interval between two readings of the
	// process' CPU time. Each reading is a system call.
	cpuSampleInterval = time.Millisecond / 2
)

// Scheduler bounds the number of goroutines that evaluate queries at a time and
// decides which queries they work for. It is safe for concurrent use.
//
// A query is light until it has worked for heavyAfter. Light queries get CPU slots
// before heavy ones and do not wait for them to yield, which takes up to a
// millisecond, so a small query next to many big ones is as fast as alone. The kind
// of a query need not be known in advance, and work that does not yield, such as a
// sort, also becomes heavy.
//
// Among light queries, and among heavy ones, those that have worked less come
// first, by powers of two: a small query does not wait for twenty new queries of
// unknown size, and a query of a tenth of a second does not wait for queries that
// take minutes. So that all queries make progress, every eighth turn of heavy
// queries goes to the one that has waited longest, and heavy queries get a slot for
// one millisecond in ten regardless of the number of light queries.
//
// Work is CPU time if that is known: the time for which a query holds slots is
// scaled by the share of CPU time that the process received. On a busy machine, or
// while non-cooperative work uses more CPUs than are available, a small query does
// not become heavy merely by waiting.
type Scheduler struct {
	slots     int
	cpu       func() time.Duration // of the process so far; nil = not known
	contended atomic.Bool          // queries wait, or inUse > slots

	mu struct {
		sync.Mutex
		inUse   int // slots, including those of light queries that did not wait
		light   int // slots in use by light queries; ≤ lightSlotsFactor × slots
		working []*CPUShare
		waiting []*waiter // in order of arrival
		turns   uint      // of heavy queries
		lastTo  time.Time // when a heavy query last had a slot, if none has now
		ticking bool
		work    workClock
	}
}

// CPUShare is one query's share of the CPU slots. A goroutine works for the query
// between Acquire and Release. It is safe for concurrent use.
type CPUShare struct {
	scheduler *Scheduler
	heavy     atomic.Bool
	long      atomic.Bool  // has worked for longAfter
	since     atomic.Int64 // Unix nanoseconds of the last turn

	// Guarded by scheduler.mu.
	inUse   int           // slots
	used    time.Duration // work up to counted
	counted time.Duration // on the work clock
}

// workClock runs in real time while the slots in use have CPUs, and slower while
// they wait for CPUs.
type workClock struct {
	now     time.Duration
	sampled time.Time
	cpu     time.Duration // of the process, when sampled
	held    time.Duration // slots in use × time since sampled
	counted time.Time
}

// advance moves the clock to now. slots were in use since the last advance.
func (w *workClock) advance(now time.Time, slots int, cpu func() time.Duration) {
	w.held += time.Duration(slots) * now.Sub(w.counted)
	w.counted = now
	past := now.Sub(w.sampled)
	if past < cpuSampleInterval {
		return
	}
	if cpu != nil {
		total := cpu()
		if spent := total - w.cpu; spent < w.held {
			past = time.Duration(float64(past) * float64(spent) / float64(w.held))
		}
		w.cpu = total
	}
	w.now += past
	w.sampled, w.held = now, 0
}

// waiter is a goroutine waiting for a slot.
type waiter struct {
	share   *CPUShare
	ready   bool          // it has a slot
	granted chan struct{} // closed when it gets a slot; nil if it did not wait
}

// NewScheduler returns a scheduler of n CPU slots. cpu returns the CPU time used by
// the process so far; nil = not known.
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

// Acquire waits for a slot. If ctx ends it stops waiting and takes a slot anyway,
// for the small amount of work to end the query.
func (s *CPUShare) Acquire(ctx context.Context) {
	c := s.scheduler
	c.mu.Lock()
	w := c.enqueueLocked(s)
	c.mu.Unlock()
	c.wait(ctx, w)
}

// Release releases the slot.
func (s *CPUShare) Release() {
	c := s.scheduler
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revokeLocked(s, time.Now())
	c.scheduleLocked()
}

// yield gives the slot to another query if it is that query's turn, and acquires a
// slot again. It is cheap while no query waits.
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

// enqueueLocked adds a waiter for a slot.
func (c *Scheduler) enqueueLocked(s *CPUShare) *waiter {
	w := &waiter{share: s}
	c.mu.waiting = append(c.mu.waiting, w)
	c.scheduleLocked()
	if !w.ready {
		w.granted = make(chan struct{})
	}
	return w
}

// wait waits until the waiter has a slot, or ctx ends: see Acquire.
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

// scheduleLocked applies the rules: it marks queries that have become heavy and
// grants slots.
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

// tick applies the rules as time passes.
func (c *Scheduler) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.ticking = false
	c.scheduleLocked()
}

// nextLocked returns the index of the waiter that gets a slot now, or -1.
func (c *Scheduler) nextLocked(now time.Time) int {
	light, oldest, heavy := -1, -1, -1
	before := func(i, j int) bool {
		return j < 0 || c.rankLocked(c.mu.waiting[i].share) < c.rankLocked(c.mu.waiting[j].share)
	}
	for i, w := range c.mu.waiting {
		first := &heavy
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
	heavyInUse := c.mu.inUse - c.mu.light
	if oldest < 0 || c.mu.inUse >= c.slots && (heavyInUse > 0 || now.Sub(c.mu.lastTo) < maxHeavyWait) {
		return -1
	}
	if c.mu.turns++; c.mu.turns%oldestFirstEvery == 0 {
		return oldest
	}
	return heavy
}

// usedLocked returns the work of a query so far.
func (c *Scheduler) usedLocked(s *CPUShare) time.Duration {
	return s.used + time.Duration(s.inUse)*(c.mu.work.now-s.counted)
}

// rankLocked orders queries: lower ranks come first.
func (c *Scheduler) rankLocked(s *CPUShare) int {
	return bits.Len64(uint64(c.usedLocked(s) / timeSlice))
}

// grantLocked gives a query a slot.
func (c *Scheduler) grantLocked(s *CPUShare, now time.Time) {
	if s.inUse == 0 {
		c.mu.working = append(c.mu.working, s)
	}
	c.countLocked(s, now, 1)
	s.since.Store(now.UnixNano())
}

// revokeLocked takes a slot from a query.
func (c *Scheduler) revokeLocked(s *CPUShare, now time.Time) {
	c.countLocked(s, now, -1)
	if s.inUse == 0 {
		i := slices.Index(c.mu.working, s)
		c.mu.working = slices.Delete(c.mu.working, i, i+1)
	}
}

// countLocked adds n to the slots of a query.
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
