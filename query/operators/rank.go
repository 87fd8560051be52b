package operators

import (
	"container/heap"
	"math"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// rankNode is topk, bottomk, limitk and limit_ratio, which keep some series of each
// group at each step unchanged and remove the others. It holds the candidates of each
// step in memory.
type rankNode struct{ aggregateNode }

// candidate is the value of a series at a step.
type candidate struct {
	v      float64
	h      *histogram.FloatHistogram
	series int32
}

// candidates is a heap with the lowest value on top. The order of equal values
// affects the answer, so it does the same operations as Prometheus' heap.
type candidates []candidate

func (c candidates) Len() int           { return len(c) }
func (c candidates) Less(i, j int) bool { return math.IsNaN(c[i].v) || c[i].v < c[j].v }
func (c candidates) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)        { *c = append(*c, *x.(*candidate)) }
func (c *candidates) Pop() any          { panic("BUG: candidates are never popped") }

// reversed is a heap with the highest value on top.
type reversed struct{ candidates }

func (c reversed) Less(i, j int) bool {
	a, b := c.candidates[i].v, c.candidates[j].v
	return math.IsNaN(a) || a > b
}

// bounds returns the lowest and highest parameter and whether any is NaN.
func bounds(ps []float64) (lowest, highest float64, anyNaN bool) {
	lowest, highest = math.MaxFloat64, -math.MaxFloat64
	for _, p := range ps {
		lowest, highest = math.Min(lowest, p), math.Max(highest, p)
		anyNaN = anyNaN || math.IsNaN(p)
	}
	return lowest, highest, anyNaN
}

// The range of counts accepted by Prometheus.
const (
	maxCount = float64(9223372036854774784)
	minCount = float64(-9223372036854775808)
)

// check reports whether any series can be selected.
func (n *rankNode) check(f *Evaluation, ps []float64) (bool, error) {
	lowest, highest, anyNaN := bounds(ps)
	if n.constParam && !anyNaN {
		lowest, highest = ps[0], ps[0] // may be infinite
	}
	if n.op == parser.LIMIT_RATIO {
		switch {
		case highest == 0 && lowest == 0:
			return false, nil
		case anyNaN:
			return false, evalErrorf("Ratio value is NaN")
		}
		if highest > 1 {
			f.annotate(annotations.NewInvalidRatioWarning(highest, 1, n.expr.Param.PositionRange()))
		}
		if lowest < -1 {
			f.annotate(annotations.NewInvalidRatioWarning(lowest, -1, n.expr.Param.PositionRange()))
		}
		return true, nil
	}
	switch {
	case highest < 1:
		return false, nil
	case anyNaN:
		return false, evalErrorf("Parameter value is NaN")
	case lowest <= minCount:
		return false, evalErrorf("Scalar value %v underflows int64", lowest)
	case highest >= maxCount:
		return false, evalErrorf("Scalar value %v overflows int64", highest)
	}
	return true, nil
}

// rankGroup is the candidates of a group by step.
type rankGroup []candidates

func (n *rankNode) table(f *Evaluation) (*table, error) {
	ps, err := f.scalar(n.param)
	if err != nil {
		return nil, err
	}
	src, err := f.open(n.child)
	if err != nil {
		return nil, err
	}
	defer src.close()
	any, err := n.check(f, ps)
	if err != nil {
		return nil, err
	}
	var (
		groups = newGrouping(n.by, f.mem)
		ranks  []rankGroup
		series []column // labels only
		held   int
		bytes  int64
	)
	defer func() {
		f.release(held)
		f.mem.Release(bytes)
		groups.Close()
	}()
	err = f.each(src, func(_ int, c *column) error {
		if !any || c.empty() {
			return nil
		}
		k, fresh, err := groups.number(c.metric)
		if err != nil {
			return err
		}
		if fresh {
			group := int64(n.N) * candidatesBytes
			if err := f.mem.Reserve(group); err != nil {
				return err
			}
			bytes += group
			ranks = append(ranks, make(rankGroup, n.N))
		}
		if err := groups.Reserve(columnBytes + int64(c.metric.ByteSize())); err != nil {
			return err
		}
		number := int32(len(series))
		series = append(series, column{metric: c.metric, drop: c.drop})
		offset := 0.0
		if n.op == parser.LIMIT_RATIO {
			offset = promql.NewHashRatioSampler().SampleOffset(&c.metric)
		}
		added, grown := 0, 0
		for i := range c.v {
			if !c.has(i) {
				continue
			}
			h := c.histogramAt(i)
			s := candidate{v: c.v[i], h: h, series: number}
			if h != nil {
				s.v = 0
			}
			chosen := &ranks[k][i]
			size, room := len(*chosen), cap(*chosen)
			n.consider(f, chosen, s, ps[i], offset)
			added += len(*chosen) - size
			grown += cap(*chosen) - room
		}
		held += added
		more := int64(grown) * candidateBytes
		if err := f.mem.Reserve(more); err != nil {
			return err
		}
		bytes += more
		return f.hold(added)
	})
	if err != nil {
		return nil, err
	}
	return n.answer(f, ranks, series)
}

// consider adds a candidate if it ranks among those chosen so far.
func (n *rankNode) consider(f *Evaluation, c *candidates, s candidate, p, offset float64) {
	if n.op == parser.LIMIT_RATIO {
		ratio := math.Max(-1, math.Min(1, p))
		if p != 0 && promql.NewHashRatioSampler().AddRatioSampleWithOffset(ratio, offset) {
			push(c, s)
		}
		return
	}
	k := int(p)
	if k < 1 {
		return
	}
	if n.op == parser.LIMITK {
		if len(*c) < k {
			push(c, s)
		}
		return
	}
	if s.h != nil {
		f.annotate(annotations.NewHistogramIgnoredInAggregationInfo(n.op.String(), n.expr.PosRange))
		return
	}
	if n.op == parser.TOPK {
		switch {
		case len(*c) < k:
			push(c, s)
		case (*c)[0].v < s.v || math.IsNaN((*c)[0].v) && !math.IsNaN(s.v):
			out := (*c)[0].v
			(*c)[0] = s
			heap.Fix(c, 0)
			noteTie(f, out, (*c)[0].v)
		default:
			noteTie(f, s.v, (*c)[0].v)
		}
		return
	}
	r := &reversed{*c}
	switch {
	case len(*c) < k:
		push(r, s)
		*c = r.candidates
	case (*c)[0].v > s.v || math.IsNaN((*c)[0].v) && !math.IsNaN(s.v):
		out := (*c)[0].v
		(*c)[0] = s
		heap.Fix(r, 0)
		noteTie(f, out, (*c)[0].v)
	default:
		noteTie(f, s.v, (*c)[0].v)
	}
}

// noteTie records a tie if out and in are equal: the order of series decides which of
// them is chosen.
func noteTie(f *Evaluation, out, in float64) {
	if (out == in || math.IsNaN(out) && math.IsNaN(in)) && !f.tied.Load() {
		f.tied.Store(true)
	}
}

// push is a separate function so that only pushed candidates are allocated.
func push(h heap.Interface, s candidate) { heap.Push(h, &s) }

// answer returns the columns of the chosen candidates, ordered by group and within a
// group by value.
func (n *rankNode) answer(f *Evaluation, ranks []rankGroup, series []column) (*table, error) {
	var order []int32
	column := int64(columnBytes + valueBytes*n.N)
	for _, g := range ranks {
		for i, c := range g {
			switch n.op {
			case parser.TOPK:
				sort.Sort(sort.Reverse(c))
			case parser.BOTTOMK:
				sort.Sort(sort.Reverse(reversed{c}))
			}
			for _, s := range c {
				col := &series[s.series]
				if col.v == nil {
					if err := f.mem.Reserve(column); err != nil {
						return nil, err
					}
					order = append(order, s.series)
					col.reset(n.N)
				}
				if s.h != nil {
					col.setHistogram(i, s.h)
				} else {
					col.v[i] = s.v
				}
			}
		}
	}
	t := &table{}
	f.mem.Release(int64(len(order)) * column) // keep charges them again
	for _, k := range order {
		if err := f.keep(t, series[k]); err != nil {
			return nil, err
		}
	}
	return t, nil
}
