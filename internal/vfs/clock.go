package vfs

import (
	"slices"
	"sync"
	"time"
)

// SystemClock is the clock of the operating system.
var SystemClock Clock = systemClock{}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// ManualClock stands still until Advance is called. It is safe for
// concurrent use.
type ManualClock struct {
	mu struct {
		sync.Mutex
		now     time.Time
		timers  []manualTimer
		changed chan struct{} // closed and replaced when a timer is added
	}
}

type manualTimer struct {
	at time.Time
	c  chan time.Time
}

// NewManualClock returns a clock that shows t.
func NewManualClock(t time.Time) *ManualClock {
	c := &ManualClock{}
	c.mu.now = t
	c.mu.changed = make(chan struct{})
	return c
}

// Now returns the time the clock shows.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.now
}

// After sends the time once the clock has been advanced by d.
func (c *ManualClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := manualTimer{at: c.mu.now.Add(d), c: make(chan time.Time, 1)}
	if d <= 0 {
		t.c <- c.mu.now
		return t.c
	}
	c.mu.timers = append(c.mu.timers, t)
	close(c.mu.changed)
	c.mu.changed = make(chan struct{})
	return t.c
}

// Advance moves the clock forward and fires the timers that became due, the
// earliest first.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.now = c.mu.now.Add(d)
	slices.SortStableFunc(c.mu.timers, func(a, b manualTimer) int { return a.at.Compare(b.at) })
	due := 0
	for due < len(c.mu.timers) && !c.mu.timers[due].at.After(c.mu.now) {
		c.mu.timers[due].c <- c.mu.now
		due++
	}
	c.mu.timers = slices.Delete(c.mu.timers, 0, due)
}

// Timers returns the number of timers that have not fired yet, including abandoned
// ones.
func (c *ManualClock) Timers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.timers)
}

// BlockUntil waits until at least n timers are pending: until the goroutines
// under test have gone to sleep.
func (c *ManualClock) BlockUntil(n int) {
	for {
		c.mu.Lock()
		pending, changed := len(c.mu.timers), c.mu.changed
		c.mu.Unlock()
		if pending >= n {
			return
		}
		<-changed
	}
}
