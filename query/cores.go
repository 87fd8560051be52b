package query

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
	// lightWork is the time on cores that makes a query a heavy one.
	lightWork = 20 * time.Millisecond
	// coreSlice is how long a heavy query keeps a core that others want.
	coreSlice = time.Millisecond
	// heavyPatience is how long light queries may keep every core from heavy
	// ones at a time.
	heavyPatience = 10 * time.Millisecond
	// elderTurn: every so many turns go to the heavy query that waits longest.
	elderTurn = 8
	// coreTick is how often the rules are applied again while light queries work
	// or anybody waits: some hold by the clock alone.
	coreTick = 5 * time.Millisecond
)

// cores lets as many goroutines evaluate queries at a time as there are cores,
// and decides whose they are. It is safe for concurrent use.
//
// A query is light until it has worked for lightWork. Light ones take cores
// before heavy ones, and do not wait until those give way, which takes the heavy
// ones a millisecond: while they stand still, a small query beside many big ones
// is as fast as alone. Nobody says beforehand which a query is, and what works
// on and on without giving way, a sort, a selection, becomes heavy all the same.
//
// Among heavy queries those that have worked least come first, by powers of two,
// so that one of a tenth of a second need not wait for those of minutes. What
// waits longest gets every eighth turn, and heavy queries a core for a
// millisecond in ten however many light ones there are: all get on.
type cores struct {
	total     int
	contended atomic.Bool // somebody waits, or more cores are in use than there are

	mu struct {
		sync.Mutex
		inUse   int // cores, those of light queries that did not wait among them
		light   int // of them, of light queries; at most total
		working []*share
		waiting []*coreWait // in the order of their coming
		turns   uint        // of heavy queries
		lastTo  time.Time   // when a heavy query had a core last, if none has
		ticking bool
	}
}

// share is what one query has of the cores. A goroutine works for the query
// between begin and end. Methods may be called by all of them.
type share struct {
	cores *cores
	heavy atomic.Bool
	since atomic.Int64 // Unix nanoseconds of the last turn

	// Guarded by cores.mu.
	inUse   int           // cores
	used    time.Duration // on cores, until counted
	counted time.Time
}

// coreWait is a goroutine in line for a core.
type coreWait struct {
	share *share
	given bool          // it has one
	turn  chan struct{} // closed when it gets one; nil if it never waited
}

func newCores(n int) *cores { return &cores{total: n} }

func (c *cores) share() *share { return &share{cores: c} }

// begin waits for a core. When ctx ends it returns without waiting, and has a
// core all the same: what is left to do is to go.
func (s *share) begin(ctx context.Context) {
	c := s.cores
	c.mu.Lock()
	w := c.waitLocked(s)
	c.mu.Unlock()
	c.await(ctx, w)
}

// end gives the core back.
func (s *share) end() {
	c := s.cores
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takeLocked(s, time.Now())
	c.applyLocked()
}

// giveWay lets others have the core if it is their turn. What works long calls
// it now and then; it costs next to nothing while nobody waits. It returns as
// begin does.
func (s *share) giveWay(ctx context.Context) {
	c := s.cores
	if !c.contended.Load() || !s.heavy.Load() || time.Now().UnixNano()-s.since.Load() < int64(coreSlice) {
		return
	}
	c.mu.Lock()
	c.takeLocked(s, time.Now())
	w := c.waitLocked(s)
	c.mu.Unlock()
	c.await(ctx, w)
}

// waitLocked gets in line for a core.
func (c *cores) waitLocked(s *share) *coreWait {
	w := &coreWait{share: s}
	c.mu.waiting = append(c.mu.waiting, w)
	c.applyLocked()
	if !w.given {
		w.turn = make(chan struct{})
	}
	return w
}

func (c *cores) await(ctx context.Context, w *coreWait) {
	if w.turn == nil {
		return
	}
	select {
	case <-w.turn:
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.mu.waiting, w); i >= 0 {
			c.mu.waiting = slices.Delete(c.mu.waiting, i, i+1)
			c.giveLocked(w.share, time.Now())
			c.applyLocked()
		}
	}
}

// applyLocked applies the rules: it notes who has become heavy and gives out
// cores.
func (c *cores) applyLocked() {
	now := time.Now()
	for _, s := range c.mu.working {
		if !s.heavy.Load() && s.usedAt(now) >= lightWork {
			s.heavy.Store(true)
			c.mu.light -= s.inUse
		}
	}
	for {
		i := c.nextLocked(now)
		if i < 0 {
			break
		}
		w := c.mu.waiting[i]
		c.mu.waiting = slices.Delete(c.mu.waiting, i, i+1)
		c.giveLocked(w.share, now)
		if w.given = true; w.turn != nil {
			close(w.turn)
		}
	}
	c.contended.Store(len(c.mu.waiting) > 0 || c.mu.inUse > c.total)
	if (c.mu.light > 0 || len(c.mu.waiting) > 0) && !c.mu.ticking {
		c.mu.ticking = true
		time.AfterFunc(coreTick, c.tick)
	}
}

func (c *cores) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.ticking = false
	c.applyLocked()
}

// nextLocked returns who of those waiting gets a core now, -1 if nobody does.
func (c *cores) nextLocked(now time.Time) int {
	oldest, least := -1, -1
	for i, w := range c.mu.waiting {
		switch {
		case !w.share.heavy.Load():
			if c.mu.light < c.total {
				return i
			}
		case oldest < 0:
			oldest, least = i, i
		case w.share.rank(now) < c.mu.waiting[least].share.rank(now):
			least = i
		}
	}
	heavy := c.mu.inUse - c.mu.light
	if oldest < 0 || c.mu.inUse >= c.total && (heavy > 0 || now.Sub(c.mu.lastTo) < heavyPatience) {
		return -1
	}
	if c.mu.turns++; c.mu.turns%elderTurn == 0 {
		return oldest
	}
	return least
}

// usedAt returns how long the query has worked.
func (s *share) usedAt(now time.Time) time.Duration {
	return s.used + time.Duration(s.inUse)*now.Sub(s.counted)
}

// rank orders heavy queries: those of the lowest come first.
func (s *share) rank(now time.Time) int { return bits.Len64(uint64(s.usedAt(now) / lightWork)) }

func (c *cores) giveLocked(s *share, now time.Time) {
	if s.inUse == 0 {
		c.mu.working = append(c.mu.working, s)
	}
	c.countLocked(s, now, 1)
	s.since.Store(now.UnixNano())
}

func (c *cores) takeLocked(s *share, now time.Time) {
	c.countLocked(s, now, -1)
	if s.inUse == 0 {
		i := slices.Index(c.mu.working, s)
		c.mu.working = slices.Delete(c.mu.working, i, i+1)
	}
}

// countLocked adds n to the cores of a query.
func (c *cores) countLocked(s *share, now time.Time, n int) {
	s.used, s.counted = s.usedAt(now), now
	s.inUse += n
	c.mu.inUse += n
	if !s.heavy.Load() {
		c.mu.light += n
	} else {
		c.mu.lastTo = now
	}
}
