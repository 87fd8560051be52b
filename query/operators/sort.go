package operators

import (
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// sortNode is sort and related functions. They order the answer of an instant query;
// the answer of a range query is always ordered by labels.
type sortNode struct {
	steps.Grid
	child Node
	call  *parser.Call
}

func planSort(e *parser.Call, args []Node, g steps.Grid) (Node, error) {
	return &sortNode{g, args[0], e}, nil
}

func (n *sortNode) table(f *Evaluation) (*table, error) {
	t, err := f.table(n.child)
	if err != nil {
		return nil, err
	}
	byValue := n.call.Func.Name == "sort" || n.call.Func.Name == "sort_desc"
	if !n.Instant {
		f.annotate(annotations.NewSortInRangeQueryWarning(n.call.PositionRange()))
		if !byValue {
			return t, nil
		}
		kept := t.cols[:0]
		for _, c := range t.cols {
			if c.h = nil; !c.empty() {
				kept = append(kept, c)
			}
		}
		t.cols = kept
		return t, nil
	}
	// Prometheus' functions define the order, including that of equal values.
	copies := admission.NewScratch(f.mem)
	defer copies.Close()
	if err := copies.Reserve(sortedBytes * int64(len(t.cols))); err != nil {
		return nil, err
	}
	v := make(promql.Vector, len(t.cols))
	for i, c := range t.cols {
		v[i] = promql.Sample{Metric: c.metric, DropName: c.drop, F: c.v[0], H: c.histogramAt(0)}
	}
	v, _ = promql.FunctionCalls[n.call.Func.Name]([]promql.Vector{v}, nil, n.call.Args, &promql.EvalNodeHelper{})
	t.cols = t.cols[:0]
	for _, s := range v {
		c := column{metric: s.Metric, drop: s.DropName, v: []float64{s.F}}
		if s.H != nil {
			c.v[0] = absent
			c.setHistogram(0, s.H)
		}
		t.cols = append(t.cols, c)
	}
	return t, nil
}
