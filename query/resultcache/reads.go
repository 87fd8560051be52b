package resultcache

import (
	"slices"
	"time"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/internal/model"
)

// readRange is the metrics and times read by a selector of an expression.
type readRange struct {
	metrics model.MetricSet
	fixed   bool // by an @ modifier
	// The times first to last, both inclusive, in milliseconds: since the Unix epoch
	// if fixed, otherwise relative to the time of evaluation.
	first, last int64
}

// analysis is the data read by the selectors of a preprocessed expression, and
// whether its answer can be joined from answers on parts of the grid: its value and
// errors at a step depend only on that step and the samples read, not on other
// steps.
type analysis struct {
	lookback int64 // milliseconds
	reads    []readRange
	ok       bool // the answer can be joined from parts
	noTies   bool // if ok, only if no tie between equal values was broken
}

// analyze analyzes a preprocessed expression.
func analyze(e parser.Expr, lookback int64) analysis {
	r := analysis{lookback: lookback, ok: true}
	r.walk(e, readRange{})
	return r
}

// walk analyzes an expression that is evaluated at the times of at.
func (r *analysis) walk(e parser.Expr, at readRange) {
	switch e := e.(type) {
	case *parser.NumberLiteral, *parser.StringLiteral:
	case *parser.ParenExpr:
		r.walk(e.Expr, at)
	case *parser.UnaryExpr:
		r.walk(e.Expr, at)
	case *parser.StepInvariantExpr:
		r.walk(e.Expr, at)
	case *parser.BinaryExpr:
		r.walk(e.LHS, at)
		r.walk(e.RHS, at)
	case *parser.AggregateExpr:
		r.aggregate(e, at)
	case *parser.Call:
		r.call(e, at)
	case *parser.VectorSelector:
		r.selector(e, r.lookback, at)
	case *parser.MatrixSelector:
		r.ok = r.ok && e.RangeExpr == nil
		r.selector(e.VectorSelector.(*parser.VectorSelector), e.Range.Milliseconds(), at)
	case *parser.SubqueryExpr:
		r.ok = r.ok && e.RangeExpr == nil && e.StepExpr == nil && e.OriginalOffsetExpr == nil && e.StartOrEnd == 0
		inner := at.shift(e.Timestamp, e.OriginalOffset)
		inner.first -= e.Range.Milliseconds()
		r.walk(e.Expr, inner)
	default:
		r.ok = false
	}
}

// shift returns the times that a selector with modifiers reads at the times of r.
func (r readRange) shift(at *int64, offset time.Duration) readRange {
	if at != nil {
		r = readRange{fixed: true, first: *at, last: *at}
	}
	r.first -= offset.Milliseconds()
	r.last -= offset.Milliseconds()
	return r
}

// selector adds the range read by a selector with windows of the given width in
// milliseconds. @ start(), @ end() and duration expressions may depend on the range
// of the query.
func (r *analysis) selector(e *parser.VectorSelector, window int64, at readRange) {
	r.ok = r.ok && e.StartOrEnd == 0 && e.OriginalOffsetExpr == nil
	at = at.shift(e.Timestamp, e.OriginalOffset)
	at.metrics = model.MetricsOf(e.LabelMatchers)
	at.first -= window - 1 // a window is open at its start
	if e.Anchored || e.Smoothed {
		at.first -= r.lookback
	}
	if e.Smoothed {
		at.last += r.lookback
	}
	r.reads = append(r.reads, at)
}

// aggregate analyzes an aggregation. The parameter of a rank is checked for all steps
// at once unless it is a literal. The order of series affects the last bits of a sum
// and the choice between equal values, so it must be the same on every part.
func (r *analysis) aggregate(e *parser.AggregateExpr, at readRange) {
	switch e.Op {
	case parser.COUNT, parser.GROUP, parser.COUNT_VALUES, parser.LIMIT_RATIO:
	case parser.TOPK, parser.BOTTOMK:
		r.noTies = r.noTies || !inOrder(e.Expr)
	default:
		r.ok = r.ok && inOrder(e.Expr)
	}
	if ranks(e.Op) {
		if _, literal := e.Param.(*parser.NumberLiteral); !literal {
			r.ok = false
		}
	}
	if e.Param != nil {
		r.walk(e.Param, at)
	}
	r.walk(e.Expr, at)
}

func ranks(op parser.ItemType) bool {
	switch op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return true
	}
	return false
}

// call analyzes a function. Sorting adds a warning in a range query of several steps.
// A range function drops names, and series that become equal are an error even if
// they never have values at the same step. So the series must have one name, or be
// stored series, which are selected for the whole grid on every part.
func (r *analysis) call(e *parser.Call, at readRange) {
	switch e.Func.Name {
	case "sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
		r.ok = false
	}
	for _, a := range e.Args {
		if a.Type() == parser.ValueTypeMatrix && !keepsNames(e) && e.Func.Name != "absent_over_time" && !oneName(a) && !(stored(a) && at == readRange{}) {
			r.ok = false
		}
		r.walk(a, at)
	}
}

// stored reports whether a range consists of stored samples.
func stored(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return stored(e.Expr)
	case *parser.StepInvariantExpr:
		return stored(e.Expr)
	}
	_, ok := e.(*parser.MatrixSelector)
	return ok
}

func keepsNames(e *parser.Call) bool {
	return e.Func.Name == "last_over_time" || e.Func.Name == "first_over_time"
}

// inOrder reports whether the series of an expression are certain to have the same
// order on every part of a grid. Groups are ordered by the first values of their
// series, and merged equal series take the position of the first.
func inOrder(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.NumberLiteral, *parser.StringLiteral, *parser.VectorSelector, *parser.MatrixSelector:
		return true
	case *parser.ParenExpr:
		return inOrder(e.Expr)
	case *parser.StepInvariantExpr:
		return inOrder(e.Expr)
	case *parser.SubqueryExpr:
		return inOrder(e.Expr)
	case *parser.UnaryExpr:
		return inOrder(e.Expr) && oneName(e.Expr)
	case *parser.AggregateExpr:
		return len(e.Grouping) == 0 && !e.Without && e.Op != parser.COUNT_VALUES && !ranks(e.Op)
	case *parser.BinaryExpr:
		switch m := e.VectorMatching; {
		case e.Op == parser.LAND || e.Op == parser.LUNLESS:
			return inOrder(e.LHS)
		case !inOrder(e.LHS) || !inOrder(e.RHS) || !oneName(e):
			return false
		default:
			return m == nil || m.Card != parser.CardOneToOne || !m.On && len(m.MatchingLabels) == 0
		}
	case *parser.Call:
		switch e.Func.Name {
		case "scalar", "vector", "absent", "absent_over_time": // one series
			return true
		case "histogram_quantile", "histogram_quantiles", "histogram_fraction", "label_replace", "label_join":
			return false
		case "last_over_time", "first_over_time":
			return inOrder(e.Args[0])
		}
		for _, a := range e.Args {
			// Without names, equal series are merged; in range functions they are an
			// error.
			if !inOrder(a) || a.Type() == parser.ValueTypeVector && !oneName(a) {
				return false
			}
		}
		return true
	}
	return false
}

// oneName reports whether the series of an expression are certain to have the same
// metric name or no name.
func oneName(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.NumberLiteral, *parser.StringLiteral:
		return true
	case *parser.ParenExpr:
		return oneName(e.Expr)
	case *parser.UnaryExpr:
		return oneName(e.Expr)
	case *parser.StepInvariantExpr:
		return oneName(e.Expr)
	case *parser.VectorSelector:
		return model.MetricsOf(e.LabelMatchers) != model.AllMetrics
	case *parser.MatrixSelector:
		return oneName(e.VectorSelector)
	case *parser.SubqueryExpr:
		return oneName(e.Expr)
	case *parser.AggregateExpr:
		if ranks(e.Op) {
			return oneName(e.Expr)
		}
		return e.Op != parser.COUNT_VALUES && (e.Without || !slices.Contains(e.Grouping, commonmodel.MetricNameLabel))
	case *parser.BinaryExpr:
		if m := e.VectorMatching; e.Op == parser.LOR || m != nil && (slices.Contains(m.Include, commonmodel.MetricNameLabel) || m.FillValues.LHS != nil || m.FillValues.RHS != nil) {
			return false
		}
		return oneName(e.LHS) && oneName(e.RHS)
	case *parser.Call:
		if e.Func.Name == "label_replace" || e.Func.Name == "label_join" {
			return false
		}
		return !slices.ContainsFunc(e.Args, func(a parser.Expr) bool { return !oneName(a) })
	}
	return false
}
