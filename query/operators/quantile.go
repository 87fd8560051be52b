package operators

import (
	"math"

	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/query/window"
)

// quantileNode is quantile, which needs all values of a step at once.
type quantileNode struct{ aggregateNode }

func (n *quantileNode) table(f *Evaluation) (*table, error) {
	qs, err := f.scalar(n.param)
	if err != nil {
		return nil, err
	}
	t, err := f.table(n.child)
	if err != nil {
		return nil, err
	}
	lowest, highest, anyNaN := bounds(qs)
	warn := func(q float64) { f.annotate(annotations.NewInvalidQuantileWarning(q, n.expr.Param.PositionRange())) }
	if anyNaN {
		warn(math.NaN())
	}
	if highest > 1 {
		warn(highest)
	}
	if lowest < 0 {
		warn(lowest)
	}
	groups := newGrouping(n.by, f.mem)
	defer groups.Close()
	if err := groups.Reserve(int64(len(t.cols)) * (2*indexBytes + 2*valueBytes)); err != nil {
		return nil, err
	}
	type members struct {
		fold
		cols []int
	}
	var all []*members
	for i := range t.cols {
		c := &t.cols[i]
		k, fresh, err := groups.number(c.metric)
		if err != nil {
			return nil, err
		}
		if fresh {
			m := &members{fold: fold{metric: n.by.labels(groups.b, c.metric), last: -1}}
			all = append(all, m)
		}
		for _, h := range c.h {
			if h != nil {
				n.ignored(f)
				break
			}
		}
		all[k].cols = append(all[k].cols, i)
		all[k].noteDrop(c)
	}
	out := &table{}
	var vs []float64
	for _, m := range all {
		c := column{metric: m.metric, drop: m.drop}
		c.reset(n.N)
		for i := range c.v {
			if err := f.Check(); err != nil {
				return nil, err
			}
			vs = vs[:0]
			for _, k := range m.cols {
				if v := t.cols[k].v[i]; !isAbsent(v) {
					vs = append(vs, v)
				}
			}
			if len(vs) > 0 {
				c.v[i] = window.QuantileOf(qs[i], vs)
			}
		}
		if err := f.keep(out, c); err != nil {
			return nil, err
		}
	}
	f.drop(t)
	return out, nil
}
