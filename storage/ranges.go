package storage

import (
	"cmp"
	"slices"

	"tsdb/internal/model"
)

// mergeRanges sorts ranges and joins those that overlap or touch. It works in the
// memory of rs.
func mergeRanges(rs []model.TimeRange) []model.TimeRange {
	byMin := func(a, b model.TimeRange) int { return cmp.Compare(a.Min, b.Min) }
	if !slices.IsSortedFunc(rs, byMin) {
		slices.SortFunc(rs, byMin)
	}
	merged := rs[:0]
	for _, r := range rs {
		merged = appendRange(merged, r)
	}
	return merged
}

// appendRange appends a range that begins no earlier than the last one of rs, to
// which it is joined if they overlap or touch. An empty range is not appended.
func appendRange(rs []model.TimeRange, r model.TimeRange) []model.TimeRange {
	if r.Empty() {
		return rs
	}
	if n := len(rs); n > 0 && r.Min <= rs[n-1].Max {
		rs[n-1].Max = max(rs[n-1].Max, r.Max)
		return rs
	}
	return append(rs, r)
}

// rangeAfter returns the index of the first of the sorted, disjoint ranges that ends
// after t.
func rangeAfter(rs []model.TimeRange, t int64) int {
	i, _ := slices.BinarySearchFunc(rs, t, func(r model.TimeRange, t int64) int {
		if r.Max <= t {
			return -1
		}
		return 1
	})
	return i
}

// appendCommon appends the parts of tr that lie in the sorted, disjoint ranges rs.
func appendCommon(dst, rs []model.TimeRange, tr model.TimeRange) []model.TimeRange {
	for i := rangeAfter(rs, tr.Min); i < len(rs) && rs[i].Min < tr.Max; i++ {
		dst = append(dst, rs[i].Intersect(tr))
	}
	return dst
}

// appendRest appends the parts of tr that lie in none of the sorted, disjoint
// ranges rs.
func appendRest(dst, rs []model.TimeRange, tr model.TimeRange) []model.TimeRange {
	for i := rangeAfter(rs, tr.Min); i < len(rs) && rs[i].Min < tr.Max; i++ {
		if tr.Min < rs[i].Min {
			dst = append(dst, model.TimeRange{Min: tr.Min, Max: rs[i].Min})
		}
		tr.Min = rs[i].Max
	}
	if !tr.Empty() {
		dst = append(dst, tr)
	}
	return dst
}

// wholeBuckets extends a range to whole buckets of a resolution: (kR, (k+1)R] in
// whole milliseconds. Times beyond those that a bucket of a sample can have are cut
// off.
func wholeBuckets(tr model.TimeRange, resolution int64) model.TimeRange {
	tr = tr.Intersect(model.TimeRange{Min: model.MinTime - model.DayMs, Max: model.MaxTime + model.DayMs})
	if tr.Empty() {
		return tr
	}
	return model.TimeRange{
		Min: bucketEnd(tr.Min, resolution) - resolution + 1,
		Max: bucketEnd(tr.Max-1, resolution) + 1,
	}
}

// bucketEnd returns the end of the bucket that holds t.
func bucketEnd(t, resolution int64) int64 {
	end := t - t%resolution
	if end < t {
		end += resolution
	}
	return end
}
