package window

import (
	"slices"

	"tsdb/internal/model"
	"tsdb/rollup/bucket"
)

// FailingRows appends the indexes of the rows that do not hold what some window of f
// needs, rising. The caller replaces them by rows of their samples, which never fail.
// resolution is that of the buckets, in milliseconds. If uncut is true, no window may
// begin between the floats of a row, even if f can be computed from the last ones.
// Flags of f.NoRows are not considered.
func FailingRows(w *Windows, rows *model.Buckets, resolution int64, f bucket.Function, uncut bool, dst []int) []int {
	if rows.Len() == 0 {
		return dst
	}
	from := len(dst)
	if f == bucket.Instant {
		dst = failingInstants(w, rows, resolution, dst)
	} else {
		dst = failingWindows(w, rows, resolution, f, uncut, dst)
	}
	slices.Sort(dst[from:])
	return dst[:from+len(slices.Compact(dst[from:]))]
}

// failingInstants appends buckets that a step divides, unless it comes after the
// newest entry.
func failingInstants(w *Windows, rows *model.Buckets, resolution int64, dst []int) []int {
	s, step := w.Ends(w.Grid)
	k, last := 0, -1
	for range w.N {
		for k < rows.Len() && rows.End[k] <= s {
			k++
		}
		if k == rows.Len() {
			break
		}
		if k != last && rows.Flags[k]&model.BucketSample == 0 && s > rows.End[k]-resolution &&
			(rows.Flags[k]&model.BucketStale != 0 || s < rows.T1[k]) {
			last = k
			dst = append(dst, k)
		}
		s += step
	}
	return dst
}

// failingWindows appends rows that a border of a window divides in an unknown way, and
// rows in a window that f cannot use at all.
func failingWindows(w *Windows, rows *model.Buckets, resolution int64, f bucket.Function, uncut bool, dst []int) []int {
	inside := bucket.EndInside
	switch {
	case !f.LeftEdge():
	case uncut:
		inside = wholeInside
	default:
		inside = bucket.Inside
	}
	end, step := w.Ends(w.Grid)
	lo, hi, seen := 0, 0, 0
	lastLeft, lastRight := -1, -1
	plain := FlagsOf(rows.Flags) == 0
	for range w.N {
		x, s := end-w.Width, end
		end += step
		lo, hi = afterRows(rows, lo, x, resolution), afterRows(rows, max(lo, hi), s, resolution)
		if lo == rows.Len() {
			break
		}
		if lo != lastLeft && inside(rows, lo, x, s) == bucket.Fails {
			lastLeft = lo
			dst = append(dst, lo)
		}
		if hi < rows.Len() && hi != lastRight && inside(rows, hi, x, s) == bucket.Fails {
			lastRight = hi
			dst = append(dst, hi)
		}
		if plain {
			continue
		}
		for seen = max(seen, lo); seen < hi; seen++ {
			if rows.Count[seen] > 0 && !f.Answers(rows.Flags[seen]) {
				dst = append(dst, seen)
			}
		}
	}
	return dst
}

// wholeInside is bucket.Inside for rows of which windows must not have a part.
func wholeInside(b *model.Buckets, k int, x, s int64) bucket.Part {
	p := bucket.Inside(b, k, x, s)
	if p == bucket.LastOne || p == bucket.LastTwo {
		return bucket.Fails
	}
	return p
}

// afterRows returns the first row from k on whose last float is after t.
func afterRows(rows *model.Buckets, k int, t, resolution int64) int {
	ends, counts, t1s := rows.End, rows.Count, rows.T1
	if k < len(ends) && ends[k] <= t {
		// Where no bucket is missing and no row is a sample, the row that ends there is the
		// one that is looked for, or the one before it.
		if g := k + int((t-ends[k])/resolution); g < len(ends) && ends[g] <= t {
			k = g + 1
		}
	}
	for k < len(ends) && (counts[k] == 0 || t1s[k] <= t) {
		k++
	}
	return k
}
