package query

import "sync"

// cut is where the windows of all steps lie among the times of a series:
// window i holds the samples lo[i] ≤ k < hi[i]. Both only ever grow.
type cut struct {
	lo, hi []int32
	widest int   // samples of the largest window
	total  int64 // samples of all windows
	read   int64 // samples of any window

	placing sync.Once
	placed  []placement // see placements
}

// make finds the windows among rising times. What the cut held is gone.
func (c *cut) make(w *windows, ts []int64) {
	c.lo, c.hi = resize(c.lo, w.grid.n), resize(c.hi, w.grid.n)
	c.widest, c.total, c.read = 0, 0, 0
	c.placing = sync.Once{}
	end, step := w.ends(w.grid)
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

// cutBytes bounds the cuts that a cuts keeps.
const cutBytes = 16 << 20

// cuts remembers the cuts of times that several series share: those that were
// scraped together. It is safe for concurrent use.
type cuts struct {
	mu    sync.Mutex
	made  map[timesKey]*cut
	bytes int
}

// timesKey names times that do not change as long as someone holds them.
type timesKey struct {
	first *int64
	n     int
}

// of returns the windows among the times of a span. The cut is in scratch if
// the times are the span's own.
func (c *cuts) of(w *windows, in span, scratch *cut) *cut {
	if !in.shared || len(in.t) == 0 {
		scratch.make(w, in.t)
		return scratch
	}
	key := timesKey{&in.t[0], len(in.t)}
	c.mu.Lock()
	known := c.made[key]
	c.mu.Unlock()
	if known != nil {
		return known
	}
	fresh := new(cut)
	fresh.make(w, in.t)
	c.mu.Lock()
	defer c.mu.Unlock()
	const each = 2*4 + 4*8 // lo, hi and a placement
	if c.bytes += w.grid.n * each; c.made == nil || c.bytes > cutBytes {
		c.made, c.bytes = make(map[timesKey]*cut), w.grid.n*each
	}
	c.made[key] = fresh
	return fresh
}
