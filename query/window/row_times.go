package window

import (
	"slices"
	"sync"

	"tsdb/internal/model"
	"tsdb/rollup/bucket"
)

// RowTimes is what follows from the times, counts and flags of rows, for one function
// and its windows. Series that are scraped together mostly share it: see
// RowTimesCache. It is safe for concurrent use. It is derived when it is first needed,
// from the rows of the first caller, so it holds no times itself.
type RowTimes struct {
	w *Windows
	f bucket.Function

	// What it is of: the source of the times and the flags, or copies of all of them.
	source model.TimesSource
	rows   model.Buckets

	failed  sync.Once
	failing []int

	laid   sync.Once
	none   bool    // there are rows without floats, which become no points
	floats []int64 // in each window
	bounds Bounds
	cut    bool          // a window has part of its first row only
	parts  []bucket.Part // of the first row, by window; only if cut
	whole  Bounds        // without rows of which a window has part; only if cut
	placed []placement   // by window; zero if it has no two floats; only of rate, increase and delta
}

// sameTimes reports whether rows are equal but for their values.
func sameTimes(a, b *model.Buckets) bool {
	return equalTimes(a.T1, b.T1) && equalTimes(a.First, b.First) && equalTimes(a.T2, b.T2) && equalTimes(a.T3, b.T3) &&
		equalTimes(a.End, b.End) && equalTimes(a.Count, b.Count) && equalTimes(a.Flags, b.Flags)
}

// reset makes r that of other rows. Its memory is used again.
func (r *RowTimes) reset(w *Windows, f bucket.Function) {
	r.w, r.f = w, f
	r.failed, r.laid = sync.Once{}, sync.Once{}
}

// Failing returns the rows that FailingRows finds, of the same arguments in each call.
// rows have the times that r is of. The result must not be changed.
func (r *RowTimes) Failing(rows *model.Buckets, resolution int64, uncut bool) []int {
	r.failed.Do(func() { r.failing = FailingRows(r.w, rows, resolution, r.f, uncut, r.failing[:0]) })
	return r.failing
}

// layOut finds the windows in points: t are their times, kept the rows that
// become points.
func (r *RowTimes) layOut(kept *model.Buckets, t []int64) {
	r.bounds.Find(r.w, t)
	r.cut = false
	if r.f != bucket.Instant {
		r.divide(kept)
	}
	r.countFloats(kept)
	switch r.f {
	case bucket.Rate:
		r.place(kept, secondsOf(r.w))
	case bucket.Increase, bucket.Delta:
		r.place(kept, 1)
	}
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

// FlagsOf returns the union of flags.
func FlagsOf(fs []model.BucketFlags) (all model.BucketFlags) {
	if n := len(fs); n > 0 && equalTimes(fs[1:], fs[:n-1]) { // mostly there are none
		return fs[0]
	}
	for _, f := range fs {
		all |= f
	}
	return all
}

// divide finds the rows of which windows have a part.
func (r *RowTimes) divide(kept *model.Buckets) {
	x, step := r.w.Ends(r.w.Grid)
	x -= r.w.Width
	for i, lo := range r.bounds.Lo {
		if lo < r.bounds.Hi[i] && x >= kept.First[lo] {
			if !r.cut {
				r.cut = true
				r.parts = resize(r.parts, len(r.bounds.Lo))
				for k := range r.parts {
					r.parts[k] = bucket.All
				}
				r.whole.Lo, r.whole.Hi = append(r.whole.Lo[:0], r.bounds.Lo...), r.bounds.Hi
			}
			r.parts[i] = bucket.LastTwo
			if x >= kept.T2[lo] {
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

// countFloats sets the number of floats in each window.
func (r *RowTimes) countFloats(kept *model.Buckets) {
	r.floats = resize(r.floats, len(r.bounds.Lo))
	from, to, sum := int32(0), int32(0), int64(0) // of rows from ≤ k < to
	for i, lo := range r.bounds.Lo {
		hi := r.bounds.Hi[i]
		if lo >= to {
			from, to, sum = lo, lo, 0
		}
		for ; from < lo; from++ {
			sum -= int64(kept.Count[from])
		}
		for ; to < hi; to++ {
			sum += int64(kept.Count[to])
		}
		n := sum
		switch r.part(i) {
		case bucket.LastOne:
			n -= int64(kept.Count[lo]) - 1
		case bucket.LastTwo:
			n -= int64(kept.Count[lo]) - 2
		}
		r.floats[i] = n
	}
}

// firstTime returns the time of the first float of a part of row k.
func firstTime(rows *model.Buckets, k int32, part bucket.Part) int64 {
	switch part {
	case bucket.LastOne:
		return rows.T1[k]
	case bucket.LastTwo:
		return rows.T2[k]
	}
	return rows.First[k]
}

// place sets the placement of the floats in each window, for a result per the given
// number of seconds.
func (r *RowTimes) place(kept *model.Buckets, seconds float64) {
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
		m := r.floats[i] - 1
		if m < 1 {
			continue
		}
		// Samples at regular intervals have the same placement in each window.
		if f, l := firstTime(kept, lo, r.part(i))-at, kept.T1[hi-1]-at; f != first || l != last || m != n {
			first, last, n = f, l, m
			place = placementOf(f+r.w.Width, -l, l-f, m)
			place.factor /= seconds
		}
		r.placed[i] = place
	}
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

// isOf reports whether r is of the times, counts and flags of rows.
func (r *RowTimes) isOf(rows *model.Buckets) bool {
	if r.source == nil {
		return sameTimes(&r.rows, rows)
	}
	source, ok := rows.SourceOfTimes()
	return ok && slices.Equal(r.source, source) && equalTimes(r.rows.Flags, rows.Flags)
}

// of returns the RowTimes of rows: the cached one, or scratch if there is none.
func (c *RowTimesCache) of(w *Windows, rows *model.Buckets, f bucket.Function, scratch *RowTimes) *RowTimes {
	n := rows.Len()
	if n == 0 {
		scratch.reset(w, f)
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
	case known != nil && known.isOf(rows):
		return known
	case !keep:
		scratch.reset(w, f)
		return scratch
	}
	known = new(RowTimes)
	known.reset(w, f)
	size := n + w.Grid.N*(4*4+1+6*8) // flags; bounds, parts, numbers of floats and placements
	if source, ok := rows.SourceOfTimes(); ok {
		known.source, known.rows.Flags = slices.Clone(source), slices.Clone(rows.Flags)
	} else {
		known.rows = model.Buckets{
			End: slices.Clone(rows.End), Flags: slices.Clone(rows.Flags), Count: slices.Clone(rows.Count), First: slices.Clone(rows.First),
			T1: slices.Clone(rows.T1), T2: slices.Clone(rows.T2), T3: slices.Clone(rows.T3),
		}
		size += n * (5*8 + 4)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes += size; c.cached == nil || c.bytes > maxBoundsBytes {
		c.cached, c.bytes = make(map[rowTimesKey]*RowTimes), size
	}
	c.cached[key] = known
	return known
}
