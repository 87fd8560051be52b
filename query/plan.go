package query

import (
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/operators"
	"tsdb/query/steps"
	"tsdb/query/tiers"
)

// planSettings holds the settings that a plan depends on.
type planSettings struct {
	operators.Settings
	lookback        int64 // milliseconds
	subqueryStep    int64 // milliseconds
	startTimestamps bool
}

// plan returns the node that evaluates a preprocessed expression at the times of g.
// It does not change the expression. reads is what its selectors read. The error is an
// operators.Uncovered.
func plan(s *planSettings, e parser.Expr, g steps.Grid) (n operators.Node, reads []selectorRead, err error) {
	p := planner{planSettings: s}
	n, err = p.expr(e, g)
	return n, p.reads, err
}

// planPart is plan for a part of a grid that is evaluated on its own. Range functions
// select the series of the whole grid.
func planPart(s *planSettings, e parser.Expr, part, whole steps.Grid) (operators.Node, error) {
	p := planner{planSettings: s, part: part, whole: whole}
	return p.expr(e, part)
}

type planner struct {
	*planSettings
	part, whole steps.Grid // see planPart; whole is empty if the grid is not divided
	reads       []selectorRead
}

// selectorRead is what a selector of an expression reads.
type selectorRead struct {
	selector parser.Expr
	read     tiers.Read
}

func (p *planner) note(e parser.Expr, s *operators.Selector) {
	p.reads = append(p.reads, selectorRead{e, s.Tiered()})
}

func (p *planner) expr(e parser.Expr, g steps.Grid) (operators.Node, error) {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return p.expr(e.Expr, g)
	case *parser.NumberLiteral:
		return operators.NewNumber(g, e.Val), nil
	case *parser.StringLiteral:
		return operators.NewString(g, e.Val), nil
	case *parser.VectorSelector:
		if e.Smoothed {
			return nil, operators.Uncovered(operators.ReasonSmoothed)
		}
		s := p.selector(e, 0, g)
		n := operators.NewVector(g, &s)
		p.note(e, &s)
		return n, nil
	case *parser.MatrixSelector:
		return p.matrix(e, g)
	case *parser.SubqueryExpr:
		return p.subquery(e, g)
	case *parser.StepInvariantExpr:
		return p.invariant(e, g)
	case *parser.UnaryExpr:
		return p.unary(e, g)
	case *parser.BinaryExpr:
		return p.binary(e, g)
	case *parser.AggregateExpr:
		return p.aggregate(e, g)
	case *parser.Call:
		return p.call(e, g)
	}
	return nil, operators.Uncovered(operators.ReasonExpression)
}

// selector plans a vector selector with windows of rangeMs; 0 = the lookback.
func (p *planner) selector(e *parser.VectorSelector, rangeMs int64, g steps.Grid) operators.Selector {
	if rangeMs == 0 {
		rangeMs = p.lookback
	}
	return operators.NewSelector(e, rangeMs, g)
}

// matrix plans a query that consists of a range selector.
func (p *planner) matrix(e *parser.MatrixSelector, g steps.Grid) (operators.Node, error) {
	vs := e.VectorSelector.(*parser.VectorSelector)
	if vs.Smoothed || vs.Anchored {
		return nil, operators.Uncovered(operators.ReasonAnchored)
	}
	s := p.selector(vs, e.Range.Milliseconds(), g)
	n := operators.NewMatrix(g, &s)
	p.note(e, &s)
	return n, nil
}

// invariant plans an expression that has the same value at every step.
func (p *planner) invariant(e *parser.StepInvariantExpr, g steps.Grid) (operators.Node, error) {
	if g.N == 0 || g.Instant {
		return p.expr(e.Expr, g)
	}
	switch e.Expr.(type) {
	case *parser.MatrixSelector, *parser.SubqueryExpr:
		return nil, operators.Uncovered(operators.ReasonStepInvariant)
	}
	once := g
	once.N, once.Instant = 1, true
	child, err := p.expr(e.Expr, once)
	if err != nil {
		return nil, err
	}
	return operators.NewInvariant(g, child), nil
}

func (p *planner) unary(e *parser.UnaryExpr, g steps.Grid) (operators.Node, error) {
	child, err := p.expr(e.Expr, g)
	if err != nil || e.Op != parser.SUB {
		return child, err
	}
	return operators.NewNegation(g, child), nil
}

// call plans a function.
func (p *planner) call(e *parser.Call, g steps.Grid) (operators.Node, error) {
	name := e.Func.Name
	for i, a := range e.Args {
		switch a := a.(type) {
		case *parser.MatrixSelector:
			return p.overTime(e, i, a, g)
		case *parser.SubqueryExpr:
			return p.overSubquery(e, i, a, g)
		case *parser.StepInvariantExpr:
			if a.Expr.Type() == parser.ValueTypeMatrix {
				return nil, operators.Uncovered(operators.ReasonStepInvariant)
			}
		}
	}
	if name == "timestamp" {
		if vs, ok := e.Args[0].(*parser.VectorSelector); ok {
			return p.timestamp(vs, g)
		}
	}
	args := make([]operators.Node, len(e.Args))
	for i, a := range e.Args {
		if a.Type() == parser.ValueTypeString {
			continue
		}
		var err error
		if args[i], err = p.expr(a, g); err != nil {
			return nil, err
		}
	}
	return operators.NewFunction(e, args, g)
}

// timestamp plans timestamp() of a vector selector, which returns the times of the
// samples instead of the evaluation times.
func (p *planner) timestamp(vs *parser.VectorSelector, g steps.Grid) (operators.Node, error) {
	if vs.Smoothed {
		return nil, operators.Uncovered(operators.ReasonSmoothed)
	}
	s := p.selector(vs, 0, g)
	n := operators.NewSampleTimes(g, &s, vs.Timestamp)
	p.note(vs, &s)
	return n, nil
}

// overTime plans a range function of samples.
func (p *planner) overTime(e *parser.Call, arg int, m *parser.MatrixSelector, g steps.Grid) (operators.Node, error) {
	vs := *m.VectorSelector.(*parser.VectorSelector)
	r := operators.RangeCall{Call: e, Arg: arg, Grid: g, RangeMs: m.Range.Milliseconds()}
	switch {
	case vs.Anchored:
		if _, ok := promql.AnchoredSafeFunctions[e.Func.Name]; !ok {
			return nil, operators.Uncovered(operators.ReasonAnchored) // an error with Prometheus' text
		}
		r.Lead = p.lookback
	case vs.Smoothed:
		if _, ok := promql.SmoothedSafeFunctions[e.Func.Name]; !ok {
			return nil, operators.Uncovered(operators.ReasonSmoothed)
		}
		r.Lead, r.Lag = p.lookback, p.lookback
	}
	var whole steps.Grid
	if g == p.part {
		whole = p.whole
	}
	s := p.selector(&vs, r.RangeMs, g)
	vs.Offset = s.AsOffset(g)
	r.Matrix = &parser.MatrixSelector{VectorSelector: &vs, Range: m.Range, EndPos: m.EndPos}
	r.ReadStored(&s, whole)
	p.note(m, &s)
	return p.overWindows(r)
}

// overSubquery plans a range function of a subquery's values.
func (p *planner) overSubquery(e *parser.Call, arg int, q *parser.SubqueryExpr, g steps.Grid) (operators.Node, error) {
	child, err := p.subquery(q, g)
	if err != nil {
		return nil, err
	}
	r := operators.RangeCall{Call: e, Arg: arg, Grid: g, RangeMs: q.Range.Milliseconds()}
	m := steps.MomentOf(q.Timestamp, q.OriginalOffset)
	// Annotations have no position, as in Prometheus.
	vs := &parser.VectorSelector{OriginalOffset: q.OriginalOffset, Offset: m.AsOffset(g), Timestamp: q.Timestamp}
	r.Matrix = &parser.MatrixSelector{VectorSelector: vs, Range: q.Range}
	r.ReadSubquery(child, m, q.OriginalOffset.Milliseconds())
	return p.overWindows(r)
}

// overWindows plans a range function with its other arguments.
func (p *planner) overWindows(r operators.RangeCall) (operators.Node, error) {
	for i, a := range r.Call.Args {
		if i == r.Arg {
			continue
		}
		child, err := p.expr(a, r.Grid)
		if err != nil {
			return nil, err
		}
		r.Params = append(r.Params, child)
	}
	r.StartTimestamps = p.startTimestamps
	return operators.NewRange(r)
}

// subquery plans the expression of a subquery on the subquery's own grid.
func (p *planner) subquery(e *parser.SubqueryExpr, g steps.Grid) (*operators.Subquery, error) {
	step := e.Step.Milliseconds()
	if step == 0 {
		step = p.subqueryStep
	}
	m := steps.MomentOf(e.Timestamp, e.OriginalOffset)
	inner := steps.Grid{Start: g.Start, Step: step}
	if g.N > 0 {
		from := steps.ClampTime(m.Resolve(g.Start) - e.Range.Milliseconds())
		start := step * (from / step)
		if start <= from {
			start += step
		}
		inner = steps.New(start, steps.ClampTime(m.Resolve(g.Last())), step)
	}
	child, err := p.expr(e.Expr, inner)
	if err != nil {
		return nil, err
	}
	return operators.NewSubquery(g, inner, child), nil
}

// aggregate plans an aggregation.
func (p *planner) aggregate(e *parser.AggregateExpr, g steps.Grid) (operators.Node, error) {
	child, err := p.expr(e.Expr, g)
	if err != nil {
		return nil, err
	}
	var param operators.Node
	if e.Param != nil && e.Op != parser.COUNT_VALUES {
		if param, err = p.expr(e.Param, g); err != nil {
			return nil, err
		}
	}
	return operators.NewAggregate(e, child, param, g)
}

// binary plans a binary operator.
func (p *planner) binary(e *parser.BinaryExpr, g steps.Grid) (operators.Node, error) {
	l, err := p.expr(e.LHS, g)
	if err != nil {
		return nil, err
	}
	r, err := p.expr(e.RHS, g)
	if err != nil {
		return nil, err
	}
	return operators.NewBinary(e, l, r, g), nil
}
