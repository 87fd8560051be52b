package noncounter

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/query/admission"
	"tsdb/query/steps"
)

// Call is a call of rate or increase.
type Call struct {
	*parser.Call
	pos posrange.PositionRange // position in its annotations
	own bool                   // it is evaluated at the steps of the query, not at those of a subquery or once for all steps
}

// CallsOf returns the calls of rate and increase in a preprocessed expression, in
// the order in which Prometheus evaluates them.
func CallsOf(e parser.Expr) []Call {
	var all []Call
	var walk func(e parser.Expr, own bool)
	walk = func(e parser.Expr, own bool) {
		switch e := e.(type) {
		case *parser.AggregateExpr:
			if e.Param != nil {
				walk(e.Param, own)
			}
			walk(e.Expr, own)
		case *parser.Call:
			for _, ranges := range []bool{true, false} {
				for _, a := range e.Args {
					if (a.Type() == parser.ValueTypeMatrix) == ranges {
						walk(a, own)
					}
				}
			}
			if e.Func.Name == "rate" || e.Func.Name == "increase" {
				all = append(all, Call{e, rangePosition(e.Args[0]), own})
			}
		case *parser.SubqueryExpr, *parser.StepInvariantExpr:
			for n := range parser.ChildrenIter(e) {
				walk(n.(parser.Expr), false)
			}
		default:
			for n := range parser.ChildrenIter(e) {
				walk(n.(parser.Expr), own)
			}
		}
	}
	walk(e, true)
	return all
}

// rangePosition returns the position in annotations of a range: none for a
// subquery, as in Prometheus.
func rangePosition(e parser.Expr) posrange.PositionRange {
	if _, ok := e.(*parser.SubqueryExpr); ok {
		return posrange.PositionRange{}
	}
	return e.PositionRange()
}

// IsCounterName reports whether a metric name has a suffix of counters.
func IsCounterName(name string) bool {
	for _, suffix := range []string{"_total", "_sum", "_count", "_bucket"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// metric is a metric without a counter's name in one of a query's calls.
type metric struct {
	rate int // index of the call
	name string
}

// Set holds the metrics with values in the calls of a run. Their annotations are
// added at the end, because the annotation of a metric in several calls has the
// position of the call that Prometheus evaluates last. A Set is safe for concurrent
// use.
type Set struct {
	rates []Call
	kept  steps.Grid // the grid on which steps are recorded; empty = not recorded
	mem   *admission.Tracker

	mu struct {
		sync.Mutex
		found map[metric]*steps.Set // the steps with values; the zero value if not recorded
	}
}

// New returns an empty set that records steps on the grid kept.
func New(rates []Call, kept steps.Grid, mem *admission.Tracker) *Set {
	return &Set{rates: rates, kept: kept, mem: mem}
}

// Steps returns the steps of a metric in a call. The caller adds the steps with
// values, at least one.
func (n *Set) Steps(call *parser.Call, name string) (*steps.Set, error) {
	rate := slices.IndexFunc(n.rates, func(r Call) bool { return r.Call == call })
	return n.stepsOf(metric{rate, name})
}

func (n *Set) stepsOf(m metric) (*steps.Set, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.mu.found[m]; s != nil {
		return s, nil
	}
	s := new(steps.Set)
	if n.rates[m.rate].own {
		*s = steps.NewSet(n.kept)
	}
	m.name = strings.Clone(m.name) // do not retain the memory of a series' labels
	if err := n.mem.Reserve(m.bytes() + s.Bytes()); err != nil {
		return nil, err
	}
	if n.mu.found == nil {
		n.mu.found = make(map[metric]*steps.Set)
	}
	n.mu.found[m] = s
	return s, nil
}

// bytes returns the approximate memory of a metric, excluding its steps.
func (m metric) bytes() int64 { return 96 + int64(len(m.name)) }

// HasUndated reports whether the set has metrics whose steps are not recorded.
func (n *Set) HasUndated() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.mu.found {
		if s.IsZero() {
			return true
		}
	}
	return false
}

// Annotations returns the annotations of an answer on a grid.
func (n *Set) Annotations(g steps.Grid) (all []error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	inOrder := slices.SortedFunc(maps.Keys(n.mu.found), func(a, b metric) int { return cmp.Compare(a.rate, b.rate) })
	for _, m := range inOrder {
		if s := n.mu.found[m]; s.IsZero() || s.Overlaps(g) {
			all = append(all, annotations.NewPossibleNonCounterInfo(m.name, n.rates[m.rate].pos))
		}
	}
	return all
}

// Kept is a metric in a cached answer, with the steps at which it has values.
type Kept struct {
	metric
	steps steps.Set
}

// Bytes returns the approximate memory of the metric.
func (k *Kept) Bytes() int64 { return k.metric.bytes() + k.steps.Bytes() }

// Within returns the metrics with values at steps of a grid.
func (n *Set) Within(g steps.Grid) []Kept {
	n.mu.Lock()
	defer n.mu.Unlock()
	var kept []Kept
	for m, s := range n.mu.found {
		if s.Overlaps(g) {
			k := Kept{m, steps.NewSet(g)}
			k.steps.AddFrom(s, g)
			kept = append(kept, k)
		}
	}
	return kept
}

// Restore adds those metrics of a cached answer that have values at steps of a grid.
func (n *Set) Restore(kept []Kept, g steps.Grid) error {
	for i := range kept {
		k := &kept[i]
		if !k.steps.Overlaps(g) {
			continue
		}
		s, err := n.stepsOf(k.metric)
		if err != nil {
			return err
		}
		s.AddFrom(&k.steps, g)
	}
	return nil
}
