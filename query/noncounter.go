package query

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"
)

// rateCall is a call of rate or increase: they tell of metrics whose names are not
// those of counters.
type rateCall struct {
	*parser.Call
	pos posrange.PositionRange // where its annotations point to
	own bool                   // it is evaluated at the steps of the query, not at those of a subquery, or once for all
}

// ratesOf returns the calls of rate and increase in a preprocessed expression, in
// the order in which Prometheus evaluates them.
func ratesOf(e parser.Expr) []rateCall {
	var all []rateCall
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
				all = append(all, rateCall{e, rangePosition(e.Args[0]), own})
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

// rangePosition returns where annotations of a range point to: those of a subquery
// to nothing, as in Prometheus.
func rangePosition(e parser.Expr) posrange.PositionRange {
	if _, ok := e.(*parser.SubqueryExpr); ok {
		return posrange.PositionRange{}
	}
	return e.PositionRange()
}

func counterName(name string) bool {
	for _, suffix := range []string{"_total", "_sum", "_count", "_bucket"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// nonCounter is a metric that does not look like a counter, in one of a query's
// rates.
type nonCounter struct {
	rate int // its number
	name string
}

// nonCounters are those of which the rates of a run have values. They are told of
// when all is evaluated: of several rates of a metric the last one that Prometheus
// evaluates says where the annotation points to. It is safe for concurrent use.
type nonCounters struct {
	rates []rateCall
	kept  grid // the steps that are told apart in rates of the query's own steps; without steps, none are
	mem   *tracker

	mu struct {
		sync.Mutex
		found map[nonCounter]*stepSet // at which steps; the zero value where they are not told apart
	}
}

// newNonCounters returns an empty set; kept are the steps to tell apart.
func newNonCounters(rates []rateCall, kept grid, mem *tracker) *nonCounters {
	return &nonCounters{rates: rates, kept: kept, mem: mem}
}

// of returns the steps of a metric in a rate: the caller adds those at which there
// are values, one at least.
func (n *nonCounters) of(call *parser.Call, name string) (*stepSet, error) {
	rate := slices.IndexFunc(n.rates, func(r rateCall) bool { return r.Call == call })
	return n.stepsOf(nonCounter{rate, name})
}

func (n *nonCounters) stepsOf(m nonCounter) (*stepSet, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.mu.found[m]; s != nil {
		return s, nil
	}
	s := new(stepSet)
	if n.rates[m.rate].own {
		*s = newStepSet(n.kept)
	}
	m.name = strings.Clone(m.name) // it is part of a series' labels
	if err := n.mem.take(m.bytes() + s.bytes()); err != nil {
		return nil, err
	}
	if n.mu.found == nil {
		n.mu.found = make(map[nonCounter]*stepSet)
	}
	n.mu.found[m] = s
	return s, nil
}

// bytes returns about how much memory a metric takes besides its steps.
func (m nonCounter) bytes() int64 { return 96 + int64(len(m.name)) }

// timeless reports whether there are metrics whose steps are not told apart.
func (n *nonCounters) timeless() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.mu.found {
		if s.isZero() {
			return true
		}
	}
	return false
}

// annotations returns the annotations of an answer on a grid.
func (n *nonCounters) annotations(g grid) (all []error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	inOrder := slices.SortedFunc(maps.Keys(n.mu.found), func(a, b nonCounter) int { return cmp.Compare(a.rate, b.rate) })
	for _, m := range inOrder {
		if s := n.mu.found[m]; s.isZero() || s.meets(g) {
			all = append(all, annotations.NewPossibleNonCounterInfo(m.name, n.rates[m.rate].pos))
		}
	}
	return all
}

// keptNonCounter is what an extent knows of one.
type keptNonCounter struct {
	nonCounter
	steps stepSet
}

// bytes returns about how much memory it takes.
func (k *keptNonCounter) bytes() int64 { return k.nonCounter.bytes() + k.steps.bytes() }

// within returns what is known of the steps of a grid.
func (n *nonCounters) within(g grid) []keptNonCounter {
	n.mu.Lock()
	defer n.mu.Unlock()
	var kept []keptNonCounter
	for m, s := range n.mu.found {
		if s.meets(g) {
			k := keptNonCounter{m, newStepSet(g)}
			k.steps.addFrom(s, g)
			kept = append(kept, k)
		}
	}
	return kept
}

// recall adds what was known of the steps of a grid.
func (n *nonCounters) recall(kept []keptNonCounter, g grid) error {
	for i := range kept {
		k := &kept[i]
		if !k.steps.meets(g) {
			continue
		}
		s, err := n.stepsOf(k.nonCounter)
		if err != nil {
			return err
		}
		s.addFrom(&k.steps, g)
	}
	return nil
}
