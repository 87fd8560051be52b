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

// Call is a call of rate or increase, which annotate metrics whose names are not
// those of counters.
type Call struct {
	*parser.Call
	pos posrange.PositionRange // where its annotations point to
	own bool                   // it is evaluated at the steps of the query, not of a subquery or once for all
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

// rangePosition returns the position that annotations of a range point to: none for
// a subquery, as in Prometheus.
func rangePosition(e parser.Expr) posrange.PositionRange {
	if _, ok := e.(*parser.SubqueryExpr); ok {
		return posrange.PositionRange{}
	}
	return e.PositionRange()
}

// IsCounterName reports whether a metric name looks like that of a counter.
func IsCounterName(name string) bool {
	for _, suffix := range []string{"_total", "_sum", "_count", "_bucket"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// metric is a metric that does not look like a counter, in one of a query's
// rates.
type metric struct {
	rate int // its number
	name string
}

// Set is the metrics with values in the rates of a run. Their annotations are added
// at the end: of several rates of a metric, the annotation points to the one that
// Prometheus evaluates last. A Set is safe for concurrent use.
type Set struct {
	rates []Call
	kept  steps.Grid // steps are recorded on it; not at all if it is empty
	mem   *admission.Tracker

	mu struct {
		sync.Mutex
		found map[metric]*steps.Set // the steps with values; the zero value where they are not recorded
	}
}

// New returns an empty set that records steps on the grid kept.
func New(rates []Call, kept steps.Grid, mem *admission.Tracker) *Set {
	return &Set{rates: rates, kept: kept, mem: mem}
}

// Steps returns the steps of a metric in a rate. The caller adds those with values,
// at least one.
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
	m.name = strings.Clone(m.name) // it shares the memory of a series' labels
	if err := n.mem.Reserve(m.bytes() + s.Bytes()); err != nil {
		return nil, err
	}
	if n.mu.found == nil {
		n.mu.found = make(map[metric]*steps.Set)
	}
	n.mu.found[m] = s
	return s, nil
}

// bytes returns the approximate memory of a metric without its steps.
func (m metric) bytes() int64 { return 96 + int64(len(m.name)) }

// HasUndated reports whether there are metrics whose steps are not recorded.
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

// Kept is a metric in a cached answer.
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

// Restore adds the metrics of a cached answer with values at steps of a grid.
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
