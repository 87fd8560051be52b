package operators

import (
	"slices"
	"sync"
)

// windowBounds is where the windows of all steps lie among the times of a series:
// window i holds the samples lo[i] ≤ k < hi[i]. Both only ever grow.
type windowBounds struct {
	lo, hi []int32
	widest int   // samples of the largest window
	total  int64 // samples of all windows
	read   int64 // samples of any window

	placing sync.Once
	placed  []placement // see placements
}

// find finds the windows among rising times. What the cut held is gone.
func (c *windowBounds) find(w *windows, ts []int64) {
	c.lo, c.hi = resize(c.lo, w.Grid.N), resize(c.hi, w.Grid.N)
	c.widest, c.total, c.read = 0, 0, 0
	c.placing = sync.Once{}
	end, step := w.ends(w.Grid)
	end += w.lag
	from, to, fromJump, toJump := 0, 0, 0, 0
	lo, hi := c.lo, c.hi[:len(c.lo)]
	for i := range lo {
		since := to
		k := after(ts, to, toJump, end)
		to, toJump = k, k-to
		k = after(ts, from, fromJump, end-w.width)
		from, fromJump = k, k-from
		lo[i], hi[i] = int32(from), int32(to)
		end += step

		c.widest = max(c.widest, to-from)
		c.total += int64(to - from)
		c.read += int64(to - max(since, from))
	}
}

// after returns the first index from k on whose time is after t; it looks at k
// + jump first: windows move mostly by as much as at the step before.
func after(ts []int64, k, jump int, t int64) int {
	if g := k + jump; g > k && g <= len(ts) && ts[g-1] <= t {
		k = g
	}
	for k < len(ts) && ts[k] <= t {
		k++
	}
	return k
}

// Bounds of what a cuts keeps.
const (
	maxBoundsBytes = 16 << 20
	maxBoundsSeen  = 1 << 12
)

// boundsCache remembers the cuts of times that several series have: those that were
// scraped together. It is safe for concurrent use.
type boundsCache struct {
	mu    sync.Mutex
	made  map[timesKey]cachedBounds
	onces map[timesKey]struct{} // times that came once, of which nothing is kept
	bytes int
}

// timesKey tells most times apart.
type timesKey struct {
	n           int
	first, last int64
}

type cachedBounds struct {
	*windowBounds
	t []int64 // the times
}

// of returns the windows among the times of a span. The cut is in scratch if it
// is the span's own.
func (c *boundsCache) of(w *windows, in sampleColumns, scratch *windowBounds) *windowBounds {
	n := len(in.t)
	if n == 0 {
		scratch.find(w, in.t)
		return scratch
	}
	key := timesKey{n, in.t[0], in.t[n-1]}
	c.mu.Lock()
	m := c.made[key]
	keep := in.shared || m.windowBounds == nil && c.again(key)
	c.mu.Unlock()
	// Comparing times costs far less than finding windows among them and
	// dividing by where they lie (BenchmarkKernel).
	if m.windowBounds != nil && (&m.t[0] == &in.t[0] || equalTimes(m.t, in.t)) {
		return m.windowBounds
	}
	if !keep {
		scratch.find(w, in.t)
		return scratch
	}
	m = cachedBounds{windowBounds: new(windowBounds), t: in.t}
	if !in.shared {
		m.t = slices.Clone(in.t)
	}
	m.find(w, in.t)
	c.mu.Lock()
	defer c.mu.Unlock()
	size := w.Grid.N*(2*4+5*8) + 8*n // lo, hi and a placement; the time
	if c.bytes += size; c.made == nil || c.bytes > maxBoundsBytes {
		c.made, c.bytes = make(map[timesKey]cachedBounds), size
	}
	c.made[key] = m
	return m.windowBounds
}

// again reports whether times like these have come before.
func (c *boundsCache) again(key timesKey) bool {
	if _, ok := c.onces[key]; ok {
		return true
	}
	if c.onces == nil || len(c.onces) == maxBoundsSeen {
		c.onces = make(map[timesKey]struct{})
	}
	c.onces[key] = struct{}{}
	return false
}
