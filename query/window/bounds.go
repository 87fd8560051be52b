package window

import (
	"slices"
	"sync"
)

// Bounds is the positions of the windows of all steps in the times of a series:
// window i holds the samples Lo[i] ≤ k < Hi[i]. Lo and Hi are non-decreasing.
type Bounds struct {
	Lo, Hi []int32
	Widest int   // number of samples in the largest window
	Total  int64 // sum of the numbers of samples in all windows
	Read   int64 // number of samples in any window

	placing sync.Once
	placed  []placement // see placements
}

// Find sets c to the windows in ascending times.
func (c *Bounds) Find(w *Windows, ts []int64) {
	c.Lo, c.Hi = resize(c.Lo, w.Grid.N), resize(c.Hi, w.Grid.N)
	c.Widest, c.Total, c.Read = 0, 0, 0
	c.placing = sync.Once{}
	end, step := w.Ends(w.Grid)
	end += w.Lag
	if w.Grid.N == 1 {
		c.findOnly(ts, end-w.Width, end)
		return
	}
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

// findOnly sets the only window, (x, s].
func (c *Bounds) findOnly(ts []int64, x, s int64) {
	lo, _ := slices.BinarySearch(ts, x+1)
	n, _ := slices.BinarySearch(ts[lo:], s+1)
	c.Lo[0], c.Hi[0] = int32(lo), int32(lo+n)
	c.Widest, c.Total, c.Read = n, int64(n), int64(n)
}

// after returns the first index from k on whose time is after t. It tries k + jump
// first, because most windows move by the same number of samples at each step.
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

// BoundsCache caches bounds by the times of series, because series that are scraped
// together have the same times. It is safe for concurrent use.
type BoundsCache struct {
	mu       sync.Mutex
	cached   map[timesKey]cachedBounds
	seenOnce map[timesKey]struct{} // times seen once, whose bounds are not cached
	bytes    int
}

// timesKey is a cheap hash of times.
type timesKey struct {
	n           int
	first, last int64
}

type cachedBounds struct {
	*Bounds
	t []int64 // the times of the series
}

// Of returns the bounds of the windows in the times of in. It returns scratch if the
// bounds are not cached.
func (c *BoundsCache) Of(w *Windows, in Samples, scratch *Bounds) *Bounds {
	n := len(in.T)
	if n == 0 {
		scratch.Find(w, in.T)
		return scratch
	}
	key := timesKey{n, in.T[0], in.T[n-1]}
	c.mu.Lock()
	m := c.cached[key]
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
	size := w.Grid.N*(2*4+5*8) + 8*n // Lo, Hi and a placement; the times
	if c.bytes += size; c.cached == nil || c.bytes > maxBoundsBytes {
		c.cached, c.bytes = make(map[timesKey]cachedBounds), size
	}
	c.cached[key] = m
	return m.Bounds
}

// again reports whether times with this key have been seen before.
func (c *BoundsCache) again(key timesKey) bool {
	if _, ok := c.seenOnce[key]; ok {
		return true
	}
	if c.seenOnce == nil || len(c.seenOnce) == maxBoundsSeen {
		c.seenOnce = make(map[timesKey]struct{})
	}
	c.seenOnce[key] = struct{}{}
	return false
}
