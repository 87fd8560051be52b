package operators

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/query/steps"
	"tsdb/query/window"
	"tsdb/rollup/bucket"
)

// Where samples have expired, a bucket that does not hold what a window needs cannot
// be read as samples. The borders of such a window are moved back to the border of a
// bucket, and the answer says so.

// anyExpired reports whether samples of the selection have expired.
func (r *tieredRows) anyExpired() bool {
	return slices.ContainsFunc(r.slices, func(s rowSlice) bool { return s.expired })
}

// keepExpired keeps a failing bucket of series i whose samples have expired. The error is
// a *tiers.ExpiredError: the bucket lacks resets that the function needs.
func (r *tieredRows) keepExpired(t *tierScratch, rows *model.Buckets, k, i int) error {
	slice := r.at(rows.End[k])
	if rows.Flags[k]&model.BucketNoResets != 0 && r.function.NeedsResets() {
		refused := r.refused
		refused.Until, refused.Tier = slice.until, slice.tier
		refused.Reason = fmt.Sprintf("the %s rollup keeps no resets of series that fall often, such as %s", slice.tier, r.set.Labels(i))
		return &refused
	}
	t.mixed.AppendColumns(rows, k, k+1, r.need)
	t.expired = append(t.expired, rows.End[k])
	if !r.function.Answers(rows.Flags[k]) {
		r.say(slice, "%s may be off over NaN, infinities and values above 2^959 in buckets of the %s rollup", r.name, slice.tier)
	}
	return nil
}

// isComplete reports whether samples are all floats of a bucket: they may have expired,
// or stand in for buckets of a finer tier.
func isComplete(samples *model.ColumnSet, rows *model.Buckets, k int) bool {
	n := uint32(0)
	for i := range samples.T {
		if !samples.StaleAt(i) {
			n++
		}
	}
	return n == rows.Count[k]
}

// isExpired reports whether the samples at a time of the series that t holds have expired:
// by retention rules those of others may have before.
func (r *tieredRows) isExpired(t *tierScratch, at int64) bool {
	return r.at(at).expired && at < t.rawFloor
}

// hasExpired reports whether the tier has buckets whose samples have expired.
func (r *tieredRows) hasExpired(t *tierScratch) bool {
	return t.buckets.Len() > 0 && r.isExpired(t, t.buckets.End[0])
}

// warnOfSamples adds a warning about what is missing if a series is read as samples although some
// have expired.
func (r *tieredRows) warnOfSamples(t *tierScratch) {
	if r.hasExpired(t) {
		r.warn(r.at(t.buckets.End[0]), "series with native histograms or start timestamps begin there")
	}
}

// rowKernel evaluates points of rows.
type rowKernel func(p *window.Points, out []float64) error

// moveWindows evaluates the windows with a border inside a bucket that failed and has
// expired again, with borders of buckets in their place. rows are those of the
// series.
func (r *tieredRows) moveWindows(w *worker, rows *model.Buckets, host window.Host, kernel rowKernel, out []float64) error {
	t := &w.tier
	if len(t.expired) == 0 {
		return nil
	}
	var moved []*rowSlice // those with borders that moved
	first, step := r.windows.Ends(r.windows.Grid)
	for i := range out {
		s := first + int64(i)*step
		x := s - r.windows.Width
		from, to := r.moved(t, x), r.moved(t, s)
		if from == x && to == s {
			continue
		}
		switch {
		case r.function == bucket.Instant:
			from = to - r.windows.Width // samples that are older are stale
		case from >= to:
			from = to - r.at(to).resolution
		}
		for _, border := range []int64{x, s} {
			if slice := r.at(border); r.moved(t, border) != border && !slices.Contains(moved, slice) {
				moved = append(moved, slice)
			}
		}
		out[i] = absent
		part := rows.Slice(rows.Search(from+1), rows.Search(to+1))
		if part.Len() == 0 {
			continue
		}
		at := window.Windows{Grid: steps.Grid{Start: to, Step: 1, N: 1}, Width: to - from}
		times := w.windows.RowTimes(&at, &part, r.function, nil)
		if err := kernel(w.windows.LoadRows(&part, times, host), out[i:i+1]); err != nil {
			return err
		}
	}
	for _, slice := range moved {
		r.say(slice, "windows of %s that begin or end inside a bucket of the %s rollup are moved back to its beginning, by less than %[2]s", r.name, slice.tier)
	}
	return nil
}

// moved returns the time to which the border of a window is moved.
func (r *tieredRows) moved(t *tierScratch, border int64) int64 {
	resolution := r.at(border).resolution
	end := bucket.EndOf(border, resolution)
	if end == border {
		return border
	}
	if _, ok := slices.BinarySearch(t.expired, end); !ok {
		return border
	}
	return end - resolution
}

// say adds an info about expired samples to the answer.
func (r *tieredRows) say(s *rowSlice, format string, args ...any) {
	r.f.annotate(expiredf(annotations.PromQLInfo, s.until, format, args...))
}

// warn adds a warning about expired samples to the answer.
func (r *tieredRows) warn(s *rowSlice, what string) {
	r.f.annotate(expiredf(annotations.PromQLWarning, s.until, "%s", what))
}

// expiredf returns an annotation about samples that have expired, those before until.
func expiredf(kind error, until int64, format string, args ...any) error {
	return fmt.Errorf("%w: raw samples up to %s have expired: %s", kind, model.FormatTime(until-1), fmt.Sprintf(format, args...))
}
