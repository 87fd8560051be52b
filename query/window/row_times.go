package window

import (
	"slices"
	"sync"

	"tsdb/internal/model"
	"tsdb/rollup/bucket"
)

// RowTimes is what follows from the times, counts and flags of rows, for one function
// and its windows. Series that are scraped together mostly share it: see
// RowTimesCache. It is safe for concurrent use.
type RowTimes struct {
	w    *Windows
	f    bucket.Function
	rows model.Buckets // without values

	failed  sync.Once
	failing []int

	laid   sync.Once
	kept   model.Buckets // rows without values, those that become points
	t      []int64       // of the points
	counts []int64       // floats before each point
	bounds Bounds
	cut    bool          // a window has part of its first row only
	parts  []bucket.Part // of the first row, by window; only if cut
	whole  Bounds        // without rows of which a window has part; only if cut

	placing sync.Once
	placed  []placement // by window; zero if it has no two floats
}

// timesOf returns rows without values.
func timesOf(b *model.Buckets) model.Buckets {
	return model.Buckets{End: b.End, Flags: b.Flags, Count: b.Count, First: b.First, T1: b.T1, T2: b.T2, T3: b.T3}
}

// sameTimes reports whether rows are equal but for their values.
func sameTimes(a, b *model.Buckets) bool {
	return equalTimes(a.T1, b.T1) && equalTimes(a.First, b.First) && equalTimes(a.T2, b.T2) && equalTimes(a.T3, b.T3) &&
		equalTimes(a.End, b.End) && equalTimes(a.Count, b.Count) && equalTimes(a.Flags, b.Flags)
}

// reset makes r that of rows. Its memory is used again.
func (r *RowTimes) reset(w *Windows, rows *model.Buckets, f bucket.Function) {
	r.w, r.f, r.rows = w, f, timesOf(rows)
	r.failed, r.laid, r.placing = sync.Once{}, sync.Once{}, sync.Once{}
}

// Failing returns the rows that FailingRows finds, of the same arguments in each call.
// The result must not be changed.
func (r *RowTimes) Failing(resolution int64, uncut bool) []int {
	r.failed.Do(func() { r.failing = FailingRows(r.w, &r.rows, resolution, r.f, uncut, r.failing[:0]) })
	return r.failing
}

// layOut finds the points and the windows.
func (r *RowTimes) layOut() {
	r.laid.Do(func() {
		if r.f == bucket.Instant {
			r.kept, r.t = r.rows, r.complete()
		} else {
			r.kept = r.withFloats()
			r.t = r.kept.T1
		}
		r.counts = resize(r.counts, len(r.t)+1)
		n := int64(0)
		for k, c := range r.kept.Count {
			r.counts[k] = n
			n += int64(c)
		}
		r.counts[len(r.t)] = n
		r.bounds.Find(r.w, r.t)
		r.cut = false
		if r.f != bucket.Instant {
			r.divide()
		}
	})
}

// withFloats returns the rows with floats.
func (r *RowTimes) withFloats() model.Buckets {
	b := &r.rows
	if !hasNone(b.Count) {
		return *b
	}
	var kept model.Buckets
	for k, n := range b.Count {
		if n > 0 {
			kept.Count, kept.First = append(kept.Count, n), append(kept.First, b.First[k])
			kept.T1, kept.T2, kept.T3 = append(kept.T1, b.T1[k]), append(kept.T2, b.T2[k]), append(kept.T3, b.T3[k])
		}
	}
	return kept
}

// hasNone reports whether any row has no floats.
func hasNone(counts []uint32) bool {
	for _, n := range counts {
		if n == 0 {
			return true
		}
	}
	return false
}

// complete returns the times from which on the newest entry of each row is known to be
// its last float, or a stale marker.
func (r *RowTimes) complete() []int64 {
	b := &r.rows
	if flagsOf(b.Flags)&model.BucketStale == 0 {
		return b.T1
	}
	ts := make([]int64, len(b.End))
	for k, end := range b.End {
		if ts[k] = b.T1[k]; b.Flags[k]&model.BucketStale != 0 {
			ts[k] = end
		}
	}
	return ts
}

// flagsOf returns the union of flags.
func flagsOf(fs []model.BucketFlags) (all model.BucketFlags) {
	for _, f := range fs {
		all |= f
	}
	return all
}

// divide finds the rows of which windows have a part.
func (r *RowTimes) divide() {
	x, step := r.w.Ends(r.w.Grid)
	x -= r.w.Width
	for i, lo := range r.bounds.Lo {
		if lo < r.bounds.Hi[i] && x >= r.kept.First[lo] {
			if !r.cut {
				r.cut = true
				r.parts = resize(r.parts, len(r.bounds.Lo))
				for k := range r.parts {
					r.parts[k] = bucket.All
				}
				r.whole.Lo, r.whole.Hi = append(r.whole.Lo[:0], r.bounds.Lo...), r.bounds.Hi
			}
			r.parts[i] = bucket.LastTwo
			if x >= r.kept.T2[lo] {
				r.parts[i] = bucket.LastOne
			}
			r.whole.Lo[i]++
		}
		x += step
	}
}

// part returns the part of its first row that window i has.
func (r *RowTimes) part(i int) bucket.Part {
	if r.cut {
		return r.parts[i]
	}
	return bucket.All
}

// countOf returns the number of floats in window i.
func (r *RowTimes) countOf(i int) int64 {
	lo, hi := r.bounds.Lo[i], r.bounds.Hi[i]
	n := r.counts[hi] - r.counts[lo]
	switch r.part(i) {
	case bucket.LastOne:
		n -= int64(r.kept.Count[lo]) - 1
	case bucket.LastTwo:
		n -= int64(r.kept.Count[lo]) - 2
	}
	return n
}

// firstTime returns the time of the first float of a part of point k.
func (r *RowTimes) firstTime(k int32, part bucket.Part) int64 {
	switch part {
	case bucket.LastOne:
		return r.kept.T1[k]
	case bucket.LastTwo:
		return r.kept.T2[k]
	}
	return r.kept.First[k]
}

// placements returns the placement of the floats in each window, for a result per
// the given number of seconds.
func (r *RowTimes) placements(seconds float64) []placement {
	r.placing.Do(func() {
		r.placed = resize(r.placed, len(r.bounds.Lo))
		end, step := r.w.Ends(r.w.Grid)
		var place placement
		var first, last, n int64 // what place is of; n = 0: of nothing
		for i, lo := range r.bounds.Lo {
			r.placed[i] = placement{}
			at := end + int64(i)*step
			hi := r.bounds.Hi[i]
			if hi <= lo {
				continue
			}
			m := r.countOf(i) - 1
			if m < 1 {
				continue
			}
			// Samples at regular intervals have the same placement in each window.
			if f, l := r.firstTime(lo, r.part(i))-at, r.kept.T1[hi-1]-at; f != first || l != last || m != n {
				first, last, n = f, l, m
				place = placementOf(f+r.w.Width, -l, l-f, m)
				place.factor /= seconds
			}
			r.placed[i] = place
		}
	})
	return r.placed
}

// RowTimesCache caches RowTimes of one function and its windows. It is safe for
// concurrent use. The zero value is empty.
type RowTimesCache struct {
	mu     sync.Mutex
	cached map[rowTimesKey]*RowTimes
	seen   map[rowTimesKey]struct{} // whose RowTimes are not cached because they were seen once
	bytes  int
}

// rowTimesKey is a cheap hash of times.
type rowTimesKey struct {
	n                   int
	first, middle, last int64
}

// of returns the RowTimes of rows: the cached one, or scratch if there is none.
func (c *RowTimesCache) of(w *Windows, rows *model.Buckets, f bucket.Function, scratch *RowTimes) *RowTimes {
	n := rows.Len()
	if n == 0 {
		scratch.reset(w, rows, f)
		return scratch
	}
	key := rowTimesKey{n, rows.First[0], rows.T1[n/2], rows.T1[n-1]}
	c.mu.Lock()
	known, keep := c.cached[key], true
	if known == nil {
		if _, keep = c.seen[key]; !keep {
			if c.seen == nil || len(c.seen) == maxBoundsSeen {
				c.seen = make(map[rowTimesKey]struct{})
			}
			c.seen[key] = struct{}{}
		}
	}
	c.mu.Unlock()
	switch {
	case known != nil && sameTimes(&known.rows, rows):
		return known
	case !keep:
		scratch.reset(w, rows, f)
		return scratch
	}
	known = new(RowTimes)
	known.reset(w, &model.Buckets{
		End: slices.Clone(rows.End), Flags: slices.Clone(rows.Flags), Count: slices.Clone(rows.Count), First: slices.Clone(rows.First),
		T1: slices.Clone(rows.T1), T2: slices.Clone(rows.T2), T3: slices.Clone(rows.T3),
	}, f)
	size := n*(5*8+4+1+8) + w.Grid.N*(4*4+1+5*8) // rows and counts; bounds, parts and placements
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes += size; c.cached == nil || c.bytes > maxBoundsBytes {
		c.cached, c.bytes = make(map[rowTimesKey]*RowTimes), size
	}
	c.cached[key] = known
	return known
}
