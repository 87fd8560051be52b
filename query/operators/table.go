package operators

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/query/admission"
)

// absent fills the steps at which a column has no float. It is the stale marker, which
// is never an evaluated sample and, as a signalling NaN, never the result of
// arithmetic.
var absent = math.Float64frombits(value.StaleNaN)

func isAbsent(v float64) bool { return math.Float64bits(v) == value.StaleNaN }

// column is one series of an evaluated expression, with at most one value at every
// time of a grid.
type column struct {
	metric labels.Labels
	drop   bool // the metric name is dropped at the end; only with delayed removal

	v []float64                   // one value per step, absent if there is no float
	h []*histogram.FloatHistogram // as long as v, nil at steps without a histogram; or nil. Shared, never changed
}

// reset makes c a column of n absent values and keeps its memory.
func (c *column) reset(n int) {
	if cap(c.v) < n {
		c.v = make([]float64, n)
	}
	c.v = c.v[:n]
	for from := 0; from < n; {
		from += copy(c.v[from:], absents[:]) // faster than storing each value
	}
	c.h = nil
}

// absents is a block of absent values to fill columns with.
var absents = func() (vs [512]float64) {
	for i := range vs {
		vs[i] = absent
	}
	return vs
}()

// setHistogram sets step i, which must have no float.
func (c *column) setHistogram(i int, h *histogram.FloatHistogram) {
	if c.h == nil {
		c.h = make([]*histogram.FloatHistogram, len(c.v))
	}
	c.h[i] = h
}

// histogramAt returns the histogram at step i, or nil.
func (c *column) histogramAt(i int) *histogram.FloatHistogram {
	if c.h == nil {
		return nil
	}
	return c.h[i]
}

// has reports whether step i has a value of either kind.
func (c *column) has(i int) bool { return !isAbsent(c.v[i]) || c.h != nil && c.h[i] != nil }

// first returns the first step with a value, or len(c.v).
func (c *column) first() int {
	for i := range c.v {
		if c.has(i) {
			return i
		}
	}
	return len(c.v)
}

func (c *column) empty() bool { return c.first() == len(c.v) }

// points returns the number of points that the column's values count as in Prometheus'
// limit.
func (c *column) points() int {
	n := 0
	for _, v := range c.v {
		if !isAbsent(v) {
			n++
		}
	}
	for _, h := range c.h {
		if h != nil {
			n += pointsOf(h)
		}
	}
	return n
}

// pointsOf returns the size of a histogram and its time in points of 16 bytes.
func pointsOf(h *histogram.FloatHistogram) int { return (h.Size() + 8) / 16 }

// table is the value of an expression: columns of one grid. The caller of the
// function that returns it owns it and may change it.
type table struct {
	cols   []column
	weight int   // points counted as held in memory for it
	bytes  int64 // bytes reserved for it
}

// errSameLabels is returned for a vector with duplicate label sets.
var errSameLabels = errors.New("vector cannot contain metrics with the same labelset")

// mergeEqual joins columns with equal labels. Two values at the same step are an
// error.
func mergeEqual(mem *admission.Tracker, cols []column) ([]column, error) {
	hashes := admission.NewScratch(mem)
	defer hashes.Close()
	if err := hashes.Reserve(2 * entryBytes * int64(len(cols))); err != nil {
		return nil, err
	}
	if !anyEqual(cols) {
		return cols, nil
	}
	byHash := make(map[uint64]int, len(cols))
	out := cols[:0]
	for _, c := range cols {
		hash := c.metric.Hash()
		k, ok := byHash[hash]
		if !ok {
			byHash[hash] = len(out)
			out = append(out, c)
			continue
		}
		if err := out[k].join(&c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// join adds the values of o, which has the same labels as c.
func (c *column) join(o *column) error {
	if o.first() < c.first() {
		c.drop = o.drop
	}
	for i, v := range o.v {
		switch {
		case !o.has(i):
		case c.has(i):
			return errSameLabels
		case isAbsent(v):
			c.setHistogram(i, o.h[i])
		default:
			c.v[i] = v
		}
	}
	return nil
}

// anyEqual reports whether any two columns have equal labels.
func anyEqual(cols []column) bool {
	if len(cols) < 2 {
		return false
	}
	seen := make(map[uint64]struct{}, len(cols))
	for i := range cols {
		h := cols[i].metric.Hash()
		if _, ok := seen[h]; ok {
			return true
		}
		seen[h] = struct{}{}
	}
	return false
}
