package query

import (
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// planSettings are what a plan depends on besides the expression.
type planSettings struct {
	settings
	lookback        int64 // milliseconds
	subqueryStep    int64 // milliseconds
	startTimestamps bool
}

// plan decides how a preprocessed expression is evaluated at the times of g. It
// does not change the expression. The error is an uncovered.
func plan(s *planSettings, e parser.Expr, g grid) (node, error) {
	p := planner{planSettings: s}
	return p.expr(e, g)
}

// planPart plans what plan does for a part of a grid that is evaluated for
// itself: the functions of ranges look at the series of the whole.
func planPart(s *planSettings, e parser.Expr, part, whole grid) (node, error) {
	p := planner{planSettings: s, part: part, whole: whole}
	return p.expr(e, part)
}

type planner struct {
	*planSettings
	part, whole grid // see planPart; whole has no times if there are no parts
}

func (p *planner) expr(e parser.Expr, g grid) (node, error) {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return p.expr(e.Expr, g)
	case *parser.NumberLiteral:
		return newNumber(g, e.Val), nil
	case *parser.StringLiteral:
		return newString(g, e.Val), nil
	case *parser.VectorSelector:
		if e.Smoothed {
			return nil, uncovered(reasonSmoothed)
		}
		return newVector(g, p.selector(e, 0, g)), nil
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
	return nil, uncovered(reasonExpression)
}

// selector returns what a vector selector reads for windows of a range; 0 is
// the lookback.
func (p *planner) selector(e *parser.VectorSelector, rangeMs int64, g grid) selector {
	if rangeMs == 0 {
		rangeMs = p.lookback
	}
	return newSelector(e, rangeMs, g)
}

// matrix plans a range selector that is the whole query.
func (p *planner) matrix(e *parser.MatrixSelector, g grid) (node, error) {
	vs := e.VectorSelector.(*parser.VectorSelector)
	if vs.Smoothed || vs.Anchored {
		return nil, uncovered(reasonAnchored)
	}
	return newMatrix(g, p.selector(vs, e.Range.Milliseconds(), g)), nil
}

// invariant plans an expression that has the same value at every time.
func (p *planner) invariant(e *parser.StepInvariantExpr, g grid) (node, error) {
	if g.n == 0 || g.instant {
		return p.expr(e.Expr, g)
	}
	switch e.Expr.(type) {
	case *parser.MatrixSelector, *parser.SubqueryExpr:
		return nil, uncovered(reasonStepInvariant)
	}
	once := g
	once.n, once.instant = 1, true
	child, err := p.expr(e.Expr, once)
	if err != nil {
		return nil, err
	}
	return newInvariant(g, child), nil
}

func (p *planner) unary(e *parser.UnaryExpr, g grid) (node, error) {
	child, err := p.expr(e.Expr, g)
	if err != nil || e.Op != parser.SUB {
		return child, err
	}
	return newNegation(g, child), nil
}

// call plans a function.
func (p *planner) call(e *parser.Call, g grid) (node, error) {
	name := e.Func.Name
	for i, a := range e.Args {
		switch a := a.(type) {
		case *parser.MatrixSelector:
			return p.overTime(e, i, a, g)
		case *parser.SubqueryExpr:
			return p.overSubquery(e, i, a, g)
		case *parser.StepInvariantExpr:
			if a.Expr.Type() == parser.ValueTypeMatrix {
				return nil, uncovered(reasonStepInvariant)
			}
		}
	}
	if name == "timestamp" {
		if vs, ok := e.Args[0].(*parser.VectorSelector); ok {
			return p.timestamp(vs, g)
		}
	}
	args := make([]node, len(e.Args))
	for i, a := range e.Args {
		if a.Type() == parser.ValueTypeString {
			continue
		}
		var err error
		if args[i], err = p.expr(a, g); err != nil {
			return nil, err
		}
	}
	return newFunction(e, args, g)
}

// timestamp plans timestamp() of a vector selector: it returns the times of the
// samples, not of the evaluation.
func (p *planner) timestamp(vs *parser.VectorSelector, g grid) (node, error) {
	if vs.Smoothed {
		return nil, uncovered(reasonSmoothed)
	}
	return newSampleTimes(g, p.selector(vs, 0, g), vs.Timestamp), nil
}

// overTime plans a function of a range of samples.
func (p *planner) overTime(e *parser.Call, arg int, m *parser.MatrixSelector, g grid) (node, error) {
	vs := *m.VectorSelector.(*parser.VectorSelector)
	r := rangeCall{call: e, arg: arg, grid: g, rangeMs: m.Range.Milliseconds()}
	switch {
	case vs.Anchored:
		if _, ok := promql.AnchoredSafeFunctions[e.Func.Name]; !ok {
			return nil, uncovered(reasonAnchored) // an error, in Prometheus' words
		}
		r.lead = p.lookback
	case vs.Smoothed:
		if _, ok := promql.SmoothedSafeFunctions[e.Func.Name]; !ok {
			return nil, uncovered(reasonSmoothed)
		}
		r.lead, r.lag = p.lookback, p.lookback
	}
	var whole grid
	if g == p.part {
		whole = p.whole
	}
	s := p.selector(&vs, r.rangeMs, g)
	vs.Offset = s.asOffset(g)
	r.matrix = &parser.MatrixSelector{VectorSelector: &vs, Range: m.Range, EndPos: m.EndPos}
	r.readStored(s, whole)
	return p.overWindows(r)
}

// overSubquery plans a function of a range of another expression's values.
func (p *planner) overSubquery(e *parser.Call, arg int, q *parser.SubqueryExpr, g grid) (node, error) {
	child, err := p.subquery(q, g)
	if err != nil {
		return nil, err
	}
	r := rangeCall{call: e, arg: arg, grid: g, rangeMs: q.Range.Milliseconds()}
	m := momentOf(q.Timestamp, q.OriginalOffset)
	// Annotations point to nothing, as in Prometheus.
	vs := &parser.VectorSelector{OriginalOffset: q.OriginalOffset, Offset: m.asOffset(g), Timestamp: q.Timestamp}
	r.matrix = &parser.MatrixSelector{VectorSelector: vs, Range: q.Range}
	r.readSubquery(child, m, q.OriginalOffset.Milliseconds())
	return p.overWindows(r)
}

// overWindows plans a function of a range with its other arguments.
func (p *planner) overWindows(r rangeCall) (node, error) {
	for i, a := range r.call.Args {
		if i == r.arg {
			continue
		}
		child, err := p.expr(a, r.grid)
		if err != nil {
			return nil, err
		}
		r.params = append(r.params, child)
	}
	r.startTimestamps = p.startTimestamps
	return newRange(r)
}

// subquery plans an expression on the grid of its own that a subquery has.
func (p *planner) subquery(e *parser.SubqueryExpr, g grid) (*subqueryNode, error) {
	step := e.Step.Milliseconds()
	if step == 0 {
		step = p.subqueryStep
	}
	m := momentOf(e.Timestamp, e.OriginalOffset)
	inner := grid{start: g.start, step: step}
	if g.n > 0 {
		from := clampTime(m.seen(g.start) - e.Range.Milliseconds())
		start := step * (from / step)
		if start <= from {
			start += step
		}
		inner = newGrid(start, clampTime(m.seen(g.last())), step)
	}
	child, err := p.expr(e.Expr, inner)
	if err != nil {
		return nil, err
	}
	return newSubquery(g, inner, child), nil
}

// aggregate plans an aggregation.
func (p *planner) aggregate(e *parser.AggregateExpr, g grid) (node, error) {
	child, err := p.expr(e.Expr, g)
	if err != nil {
		return nil, err
	}
	var param node
	if e.Param != nil && e.Op != parser.COUNT_VALUES {
		if param, err = p.expr(e.Param, g); err != nil {
			return nil, err
		}
	}
	return newAggregate(e, child, param, g)
}

// binary plans an operator.
func (p *planner) binary(e *parser.BinaryExpr, g grid) (node, error) {
	l, err := p.expr(e.LHS, g)
	if err != nil {
		return nil, err
	}
	r, err := p.expr(e.RHS, g)
	if err != nil {
		return nil, err
	}
	return newBinary(e, l, r, g), nil
}
