package resultcache

import (
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"tsdb/internal/model"
	"tsdb/query/noncounter"
	"tsdb/query/steps"
	"tsdb/storage"
)

// extent is the answer of an expression on a grid, with the change counters of the
// data it read. It is immutable, and so are the points it shares with answers
// returned to queries.
type extent struct {
	steps.Grid
	series promql.Matrix     // sorted by labels, floats only
	named  []noncounter.Kept // metrics in calls of rate and increase
	sums   []hourSums        // by readRange
}

// hourSums holds the sums of change counters by hour.
type hourSums struct {
	first int64 // hour
	sums  []uint64
}

// sumsOf returns the change counters of all data read on a grid. It returns false if
// a range has too many hours.
func sumsOf(c *storage.Changes, reads []readRange, g steps.Grid) ([]hourSums, bool) {
	const maxHours = 100_000 // eleven years
	all := make([]hourSums, len(reads))
	for k := range reads {
		first, last := reads[k].hours(g)
		if last-first >= maxHours/int64(len(reads)) {
			return nil, false
		}
		all[k] = hourSums{first, c.Sums(make([]uint64, 0, last-first+1), first, last, reads[k].metrics)}
	}
	return all, true
}

// valid returns, for each step, whether the extent is still valid: no hour that the
// step read has changed. now covers all hours of the extent.
func (e *extent) valid(reads []readRange, now []hourSums) (ok []bool, spoiled int) {
	bad := make([]bool, e.N)
	for k := range reads {
		was, is := &e.sums[k], &now[k]
		for i, sum := range was.sums {
			if hour := was.first + int64(i); sum != is.sums[hour-is.first] {
				from, to := reads[k].steps(e.Grid, hour)
				for s := from; s < to; s++ {
					bad[s] = true
				}
			}
		}
	}
	for s, b := range bad {
		if b {
			spoiled++
		}
		bad[s] = !b
	}
	return bad, spoiled
}

// span returns the time range read on a grid.
func (r *readRange) span(g steps.Grid) model.TimeRange {
	if r.fixed {
		return model.TimeRange{Min: r.first, Max: r.last + 1}
	}
	return model.TimeRange{Min: g.Start + r.first, Max: g.Last() + r.last + 1}
}

// hours returns the first and the last hour read on a grid.
func (r *readRange) hours(g steps.Grid) (first, last int64) {
	tr := r.span(g)
	return storage.ChangeHour(tr.Min), storage.ChangeHour(tr.Max - 1)
}

// settled returns the number of leading steps of a grid that read nothing later
// than t.
func (r *readRange) settled(g steps.Grid, t int64) int {
	if r.fixed {
		if r.last > t {
			return 0
		}
		return g.N
	}
	return sort.Search(g.N, func(i int) bool { return g.At(i)+r.last > t })
}

// steps returns the steps from ≤ s < to of a grid that read an hour.
func (r *readRange) steps(g steps.Grid, hour int64) (from, to int) {
	begin, end := hour*model.HourMs, (hour+1)*model.HourMs
	if r.fixed {
		if r.first < end && r.last >= begin {
			return 0, g.N
		}
		return 0, 0
	}
	from = sort.Search(g.N, func(i int) bool { return g.At(i)+r.last >= begin })
	to = sort.Search(g.N, func(i int) bool { return g.At(i)+r.first >= end })
	return from, to
}

// bytes returns the approximate memory of the extent.
func (e *extent) bytes() int64 {
	n := 256
	for i := range e.series {
		s := &e.series[i]
		n += 16*len(s.Floats) + 96 + int(s.Metric.ByteSize())
	}
	for i := range e.named {
		n += int(e.named[i].Bytes())
	}
	for _, s := range e.sums {
		n += 32 + 8*len(s.sums)
	}
	return int64(n)
}

// cachedSpan is a part of an answer: the points from first to last, both inclusive.
type cachedSpan struct {
	series      promql.Matrix // sorted by labels
	first, last int64
}

// joinSpans joins consecutive spans. The result is sorted by labels and shares the
// points of series that are in only one span.
func joinSpans(spans []cachedSpan) promql.Matrix {
	if len(spans) == 1 {
		return clip(spans[0].series, spans[0].first, spans[0].last)
	}
	out := promql.Matrix{}
	next := make([]int, len(spans)) // next series of each span
	parts := make([][]promql.FPoint, 0, len(spans))
	for {
		lowest := -1
		for k, p := range spans {
			if next[k] < len(p.series) && (lowest < 0 || labels.Compare(p.series[next[k]].Metric, spans[lowest].series[next[lowest]].Metric) < 0) {
				lowest = k
			}
		}
		if lowest < 0 {
			return out
		}
		s := spans[lowest].series[next[lowest]]
		parts = parts[:0]
		for k, p := range spans {
			if next[k] == len(p.series) || !labels.Equal(p.series[next[k]].Metric, s.Metric) {
				continue
			}
			if points := between(p.series[next[k]].Floats, p.first, p.last); len(points) > 0 {
				parts = append(parts, points)
			}
			next[k]++
		}
		switch len(parts) {
		case 0:
			continue
		case 1:
			s.Floats = parts[0]
		default:
			s.Floats = slices.Concat(parts...)
		}
		out = append(out, s)
	}
}

// clip returns the series with points from first to last, both inclusive, reduced to
// those points. The result shares the points of m.
func clip(m promql.Matrix, first, last int64) promql.Matrix {
	out := make(promql.Matrix, 0, len(m))
	for _, s := range m {
		if points := between(s.Floats, first, last); len(points) > 0 {
			s.Floats = points
			out = append(out, s)
		}
	}
	return out
}

// between returns the points from first to last, both inclusive, with clipped
// capacity.
func between(points []promql.FPoint, first, last int64) []promql.FPoint {
	i, j := 0, len(points)
	if j > 0 && points[0].T < first {
		i = sort.Search(j, func(k int) bool { return points[k].T >= first })
	}
	if j > 0 && points[j-1].T > last {
		j = sort.Search(j, func(k int) bool { return points[k].T > last })
	}
	if i >= j {
		return nil
	}
	return points[i:j:j]
}
