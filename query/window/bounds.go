package window

import (
	"slices"
	"sync"
)

// Bounds is the positions of the windows of all steps among the times of a series:
// window i holds the samples lo[i] ≤ k < hi[i]. Both only ever grow.
type Bounds struct {
	Lo, Hi []int32
	Widest int   // samples of the largest window
	Total  int64 // samples of all windows
	Read   int64 // samples of any window

	placing sync.Once
	placed  []placement // see placements
}

// Find finds the windows among rising times. It overwrites b.
func (c *Bounds) Find(w *Windows, ts []int64) {
	c.Lo, c.Hi = resize(c.Lo, w.Grid.N), resize(c.Hi, w.Grid.N)
	c.Widest, c.Total, c.Read = 0, 0, 0
	c.placing = sync.Once{}
	end, step := w.Ends(w.Grid)
	end += w.Lag
	from, to, fromJump, toJump := 0, 0, 0, 0
	lo, hi := c.Lo, c.Hi[:len(c.Lo)]
	for i := range lo {
		since := to
		k := after(ts, to, toJump, end)
		to, toJump = k, k-to
		k = after(ts, from, fromJump, end-w.Width)
		from, fromJump = k, k-from
		lo[i], hi[i] = int32(from), int32(to)
		end += step

		c.Widest = max(c.Widest, to-from)
		c.Total += int64(to - from)
		c.Read += int64(to - max(since, from))
	}
}

// after returns the first index from k on whose time is after t. It tries k + jump
// first: windows mostly move by the same number of samples at each step.
func after(ts []int64, k, jump int, t int64) int {
	if g := k + jump; g > k && g <= len(ts) && ts[g-1] <= t {
		k = g
	}
	for k < len(ts) && ts[k] <= t {
		k++
	}
	return k
}

// Limits of a BoundsCache.
const (
	maxBoundsBytes = 16 << 20
	maxBoundsSeen  = 1 << 12
)

// BoundsCache keeps the bounds for times that several series have: those that were
// scraped together. It is safe for concurrent use.
type BoundsCache struct {
	mu    sync.Mutex
	made  map[timesKey]cachedBounds
	onces map[timesKey]struct{} // times that were seen once, whose bounds are not kept
	bytes int
}

// timesKey is a hash of times.
type timesKey struct {
	n           int
	first, last int64
}

type cachedBounds struct {
	*Bounds
	t []int64 // the times
}

// Of returns the windows among the times of a span. The bounds are in
// scratch if they are not kept.
func (c *BoundsCache) Of(w *Windows, in Samples, scratch *Bounds) *Bounds {
	n := len(in.T)
	if n == 0 {
		scratch.Find(w, in.T)
		return scratch
	}
	key := timesKey{n, in.T[0], in.T[n-1]}
	c.mu.Lock()
	m := c.made[key]
	keep := in.Shared || m.Bounds == nil && c.again(key)
	c.mu.Unlock()
	// Comparing times costs far less than finding windows and their placements
	// (BenchmarkKernel).
	if m.Bounds != nil && (&m.t[0] == &in.T[0] || equalTimes(m.t, in.T)) {
		return m.Bounds
	}
	if !keep {
		scratch.Find(w, in.T)
		return scratch
	}
	m = cachedBounds{Bounds: new(Bounds), t: in.T}
	if !in.Shared {
		m.t = slices.Clone(in.T)
	}
	m.Find(w, in.T)
	c.mu.Lock()
	defer c.mu.Unlock()
	size := w.Grid.N*(2*4+5*8) + 8*n // lo, hi and a placement; the time
	if c.bytes += size; c.made == nil || c.bytes > maxBoundsBytes {
		c.made, c.bytes = make(map[timesKey]cachedBounds), size
	}
	c.made[key] = m
	return m.Bounds
}

// again reports whether times with this key were seen before.
func (c *BoundsCache) again(key timesKey) bool {
	if _, ok := c.onces[key]; ok {
		return true
	}
	if c.onces == nil || len(c.onces) == maxBoundsSeen {
		c.onces = make(map[timesKey]struct{})
	}
	c.onces[key] = struct{}{}
	return false
}
