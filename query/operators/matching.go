package operators

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
)

// matchGroup is the series of both sides with equal matching labels.
type matchGroup struct {
	left, right []int
	leftAny     []bool // by step: a series of the left side has a value; nil until needed
	rightAny    []bool
	matched     []bool                // by step: a pair has been formed
	byResult    map[labelsHash][]bool // many-to-one: the same by labels of the result
}

type labelsHash uint64

// matchGroupBytes is the memory of a matchGroup, excluding its slices and map.
const matchGroupBytes = 160

// anyAt returns, for each step, whether any of the columns has a value.
func anyAt(held *admission.Scratch, t *table, cols []int, n int) ([]bool, error) {
	if err := held.Reserve(int64(n)); err != nil {
		return nil, err
	}
	any := make([]bool, n)
	for _, k := range cols {
		for i := range any {
			any[i] = any[i] || t.cols[k].has(i)
		}
	}
	return any, nil
}

// match groups the columns of both sides. It returns the group of each left and of
// each right column, and adds the memory of the groups to held.
func match(held *admission.Scratch, m *parser.VectorMatching, l, r *table) (left, right []*matchGroup, err error) {
	names := slices.Clone(m.MatchingLabels)
	if !m.On {
		names = append(names, nameLabel)
	}
	slices.Sort(names)
	var buf []byte
	if err := held.Reserve(2 * indexBytes * int64(len(l.cols)+len(r.cols))); err != nil {
		return nil, nil, err
	}
	groups := make(map[string]*matchGroup)
	of := func(ls labels.Labels) (*matchGroup, error) {
		if m.On {
			buf = ls.BytesWithLabels(buf, names...)
		} else {
			buf = ls.BytesWithoutLabels(buf, names...)
		}
		g := groups[string(buf)]
		if g == nil {
			if err := held.Reserve(entryBytes + matchGroupBytes + int64(len(buf))); err != nil {
				return nil, err
			}
			g = &matchGroup{}
			groups[string(buf)] = g
		}
		return g, nil
	}
	for i := range l.cols {
		g, err := of(l.cols[i].metric)
		if err != nil {
			return nil, nil, err
		}
		g.left = append(g.left, i)
		left = append(left, g)
	}
	for i := range r.cols {
		g, err := of(r.cols[i].metric)
		if err != nil {
			return nil, nil, err
		}
		g.right = append(g.right, i)
		right = append(right, g)
	}
	return left, right, nil
}

// operands evaluates both sides of an operator, the left one first. It stops counting
// their points, because those of the result will be counted. The caller drops the
// tables.
func (f *Evaluation) operands(left, right Node) (l, r *table, err error) {
	if l, err = f.table(left); err != nil {
		return nil, nil, err
	}
	if r, err = f.table(right); err != nil {
		return nil, nil, err
	}
	f.release(l.weight + r.weight)
	l.weight, r.weight = 0, 0
	return l, r, nil
}
