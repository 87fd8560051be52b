package operators

import (
	"slices"

	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// setNode is a set operator: and, or, unless.
type setNode struct {
	steps.Grid
	l, r Node
	op   parser.ItemType
	vm   parser.VectorMatching
}

func (n *setNode) table(f *Evaluation) (*table, error) {
	l, r, err := f.operands(n.l, n.r)
	if err != nil {
		return nil, err
	}
	held := admission.NewScratch(f.mem)
	defer held.Close()
	left, right, err := match(&held, &n.vm, l, r)
	if err != nil {
		return nil, err
	}
	out := &table{}
	var cols []column
	if n.op == parser.LOR {
		for i := range r.cols {
			if g := right[i]; g.leftAny == nil {
				if g.leftAny, err = anyAt(&held, l, g.left, n.N); err != nil {
					return nil, err
				}
			}
			r.cols[i].clear(right[i].leftAny, true)
		}
		if err := held.Reserve(columnBytes * int64(len(l.cols)+len(r.cols))); err != nil {
			return nil, err
		}
		cols = append(l.cols, r.cols...)
	} else {
		for i := range l.cols {
			if g := left[i]; g.rightAny == nil {
				if g.rightAny, err = anyAt(&held, r, g.right, n.N); err != nil {
					return nil, err
				}
			}
			l.cols[i].clear(left[i].rightAny, n.op == parser.LUNLESS)
		}
		cols = l.cols
	}
	if !n.Instant || !f.DelayedNames {
		if cols, err = mergeEqual(f.mem, withoutEmpty(cols)); err != nil {
			return nil, err
		}
	}
	f.drop(l)
	f.drop(r)
	for _, c := range cols {
		if err := f.keep(out, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// clear removes the values at the steps i with mask[i] == remove.
func (c *column) clear(mask []bool, remove bool) {
	for i, m := range mask {
		if m == remove {
			c.v[i] = absent
			if c.h != nil {
				c.h[i] = nil
			}
		}
	}
}

func withoutEmpty(cols []column) []column {
	return slices.DeleteFunc(cols, func(c column) bool { return c.empty() })
}
