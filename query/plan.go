package query

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/internal/model"
)

// node is an expression with everything decided that can be before a sample is
// read. A node is immutable: a plan can run more than once, and at the same
// time.
//
// It implements tabler or opener: the first makes its whole value at once, the
// second one column at a time, so that what stands above can fold the columns
// of many series without ever holding them together.
type node interface{ times() grid }

// tabler is a node whose columns depend on each other.
type tabler interface {
	node
	table(f *frame) (*table, error)
}

// opener is a node that makes its columns one by one.
type opener interface {
	node
	open(f *frame) (source, error)
}

func (g grid) times() grid { return g }

// uncovered says why an expression is left to Prometheus' engine.
type uncovered string

func (u uncovered) Error() string { return "not covered: " + string(u) }

// Reasons of fallbacks, besides the names of functions: label values of a
// metric, so they are few.
const (
	reasonStorage       = "storage"        // the series do not come from our storage
	reasonSmoothed      = "smoothed"       // modifier of a vector selector
	reasonAnchored      = "anchored"       // modifier of a matrix selector that is the whole query
	reasonStepInvariant = "step_invariant" // a range that is an argument of a function that takes none
	reasonSparse        = "sparse"         // dense columns would take far more memory than the points
	reasonExpression    = "expression"     // something the parser knows and the planner does not
)

// settings are what a plan depends on besides the expression.
type settings struct {
	lookback        int64 // milliseconds
	subqueryStep    int64 // milliseconds
	delayedNames    bool
	startTimestamps bool
	maxSamples      int
	maxLabelValue   int
}

// plan decides how a preprocessed expression is evaluated at the times of g. It
// does not change the expression. The error is an uncovered.
func plan(s *settings, e parser.Expr, g grid) (node, error) {
	p := planner{settings: s}
	return p.expr(e, g)
}

// planPart plans what plan does for a part of a grid that is evaluated for
// itself: the functions of ranges look at the series of the whole.
func planPart(s *settings, e parser.Expr, part, whole grid) (node, error) {
	p := planner{settings: s, part: part, whole: whole}
	return p.expr(e, part)
}

type planner struct {
	*settings
	part, whole grid // see planPart; whole has no times if there are no parts
}

func (p *planner) expr(e parser.Expr, g grid) (node, error) {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return p.expr(e.Expr, g)
	case *parser.NumberLiteral:
		return &numberNode{g, e.Val}, nil
	case *parser.StringLiteral:
		return &stringNode{g, e.Val}, nil
	case *parser.VectorSelector:
		if e.Smoothed {
			return nil, uncovered(reasonSmoothed)
		}
		return &vectorNode{grid: g, selector: p.selector(e, 0, g)}, nil
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

// moment is where in time a selector or subquery looks when the evaluation is
// at a time: a fixed distance before it, or always at the same place.
type moment struct {
	fixed  bool
	place  int64 // if fixed, Unix milliseconds
	offset int64 // if not, milliseconds
}

func momentOf(at *int64, offset time.Duration) moment {
	if at != nil {
		return moment{fixed: true, place: clampTime(model.SubTime(*at, offset.Milliseconds()))}
	}
	return moment{offset: offset.Milliseconds()}
}

// seen returns the time that is looked at when the evaluation is at t.
func (m moment) seen(t int64) int64 {
	if m.fixed {
		return m.place
	}
	return t - m.offset
}

// ends returns what is looked at first on a grid, and by how much each step
// moves it.
func (m moment) ends(g grid) (first, step int64) {
	if m.fixed {
		return m.place, 0
	}
	return g.start - m.offset, g.step
}

// asOffset returns the moment as Prometheus keeps it: as an offset from the
// first time of the evaluation.
func (m moment) asOffset(g grid) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond) // as in Prometheus, an offset ends there
	return time.Duration(min(max(model.SubTime(g.start, m.seen(g.start)), -most), most)) * time.Millisecond
}

// selector returns what a vector selector reads for windows of a range; 0 is
// the lookback.
func (p *planner) selector(e *parser.VectorSelector, rangeMs int64, g grid) selector {
	s := selector{moment: momentOf(e.Timestamp, e.OriginalOffset), matchers: e.LabelMatchers, window: rangeMs}
	if rangeMs == 0 {
		s.window = p.lookback
	}
	s.statsOnly = e.SkipHistogramBuckets
	s.setRange(g)
	return s
}

// matrix plans a range selector that is the whole query.
func (p *planner) matrix(e *parser.MatrixSelector, g grid) (node, error) {
	vs := e.VectorSelector.(*parser.VectorSelector)
	if vs.Smoothed || vs.Anchored {
		return nil, uncovered(reasonAnchored)
	}
	return &matrixNode{grid: g, selector: p.selector(vs, e.Range.Milliseconds(), g)}, nil
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
	return &invariantNode{g, child}, nil
}

func (p *planner) unary(e *parser.UnaryExpr, g grid) (node, error) {
	child, err := p.expr(e.Expr, g)
	if err != nil || e.Op != parser.SUB {
		return child, err
	}
	return &mapNode{grid: g, child: child, apply: negate, drops: true}, nil
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
	build, ok := functions[name]
	if !ok {
		return nil, uncovered(name)
	}
	return build(p, e, args, g)
}

// timestamp plans timestamp() of a vector selector: it returns the times of the
// samples, not of the evaluation.
func (p *planner) timestamp(vs *parser.VectorSelector, g grid) (node, error) {
	if vs.Smoothed {
		return nil, uncovered(reasonSmoothed)
	}
	n := &vectorNode{grid: g, selector: p.selector(vs, 0, g), timestamps: true}
	if vs.Timestamp != nil {
		n.selector.place = *vs.Timestamp // the offset counts for what is read only
	}
	return &mapNode{grid: g, child: n, drops: true}, nil
}

// overTime plans a function of a range of samples.
func (p *planner) overTime(e *parser.Call, arg int, m *parser.MatrixSelector, g grid) (node, error) {
	vs := *m.VectorSelector.(*parser.VectorSelector)
	n := &rangeNode{name: e.Func.Name}
	lead, lag := int64(0), int64(0)
	switch {
	case vs.Anchored:
		if _, ok := promql.AnchoredSafeFunctions[n.name]; !ok {
			return nil, uncovered(reasonAnchored) // an error, in Prometheus' words
		}
		lead = p.lookback
	case vs.Smoothed:
		if _, ok := promql.SmoothedSafeFunctions[n.name]; !ok {
			return nil, uncovered(reasonSmoothed)
		}
		lead, lag = p.lookback, p.lookback
	}
	s := p.selector(&vs, m.Range.Milliseconds(), g)
	n.windows = windows{grid: g, moment: s.moment, width: m.Range.Milliseconds() + lead + lag, lag: lag}
	n.rangeMs = m.Range.Milliseconds()
	s.window += lead
	s.setRange(g)
	s.tr.Max += lag
	if p.whole.n > 0 && g == p.part {
		of := s
		of.setRange(p.whole)
		s.look = model.TimeRange{Min: of.tr.Min, Max: of.tr.Max + lag}
	}
	n.input = &storedInput{selector: s}
	vs.Offset = s.asOffset(g)
	return p.overWindows(n, e, arg, &parser.MatrixSelector{VectorSelector: &vs, Range: m.Range, EndPos: m.EndPos}, g)
}

// overSubquery plans a function of a range of another expression's values.
func (p *planner) overSubquery(e *parser.Call, arg int, q *parser.SubqueryExpr, g grid) (node, error) {
	child, err := p.subquery(q, g)
	if err != nil {
		return nil, err
	}
	n := &rangeNode{name: e.Func.Name, rangeMs: q.Range.Milliseconds()}
	m := momentOf(q.Timestamp, q.OriginalOffset)
	n.windows = windows{grid: g, moment: m, width: n.rangeMs}
	n.input = &subqueryInput{node: child, offset: q.OriginalOffset.Milliseconds(), rangeMs: n.rangeMs}
	// Annotations point to nothing, as in Prometheus.
	vs := &parser.VectorSelector{OriginalOffset: q.OriginalOffset, Offset: m.asOffset(g), Timestamp: q.Timestamp}
	return p.overWindows(n, e, arg, &parser.MatrixSelector{VectorSelector: vs, Range: q.Range}, g)
}

func (p *planner) overWindows(n *rangeNode, e *parser.Call, arg int, m *parser.MatrixSelector, g grid) (node, error) {
	n.expr, n.args = e, slices.Clone(e.Args)
	n.args[arg] = m
	for i, a := range e.Args {
		if i == arg {
			continue
		}
		child, err := p.expr(a, g)
		if err != nil {
			return nil, err
		}
		n.params = append(n.params, child)
	}
	vs := m.VectorSelector.(*parser.VectorSelector)
	if k, ok := windowKernels[n.name]; ok && !vs.Smoothed && !vs.Anchored {
		n.kernel = k
	}
	n.call = promql.FunctionCalls[n.name]
	if n.call == nil {
		return nil, uncovered(n.name)
	}
	n.keepsName = n.name == "last_over_time" || n.name == "first_over_time"
	switch n.name {
	case "rate", "irate", "increase", "resets":
		n.startTimestamps = p.startTimestamps
	}
	if n.name == "absent_over_time" {
		return &absentNode{grid: g, child: n, metric: absentLabels(n.args[0]), drop: true}, nil
	}
	return n, nil
}

// subquery plans an expression on the grid of its own that a subquery has.
func (p *planner) subquery(e *parser.SubqueryExpr, g grid) (*subqueryNode, error) {
	step := e.Step.Milliseconds()
	if step == 0 {
		step = p.subqueryStep
	}
	m := momentOf(e.Timestamp, e.OriginalOffset)
	n := &subqueryNode{grid: g}
	if g.n == 0 {
		n.inner = grid{start: g.start, step: step}
	} else {
		from := clampTime(m.seen(g.start) - e.Range.Milliseconds())
		start := step * (from / step)
		if start <= from {
			start += step
		}
		n.inner = newGrid(start, clampTime(m.seen(g.last())), step)
	}
	var err error
	n.child, err = p.expr(e.Expr, n.inner)
	return n, err
}

// aggregate plans an aggregation.
func (p *planner) aggregate(e *parser.AggregateExpr, g grid) (node, error) {
	child, err := p.expr(e.Expr, g)
	if err != nil {
		return nil, err
	}
	n := aggregateNode{grid: g, child: child, expr: e, op: e.Op, by: groupBy{without: e.Without, names: slices.Clone(e.Grouping)}}
	slices.Sort(n.by.names)
	switch e.Op {
	case parser.SUM, parser.AVG, parser.MIN, parser.MAX, parser.COUNT, parser.GROUP, parser.STDDEV, parser.STDVAR:
		return &foldNode{n}, nil
	case parser.COUNT_VALUES:
		label := e.Param.(*parser.StringLiteral).Val
		if !n.by.without {
			n.by.names = append(n.by.names, label)
			slices.Sort(n.by.names)
		}
		return &countValuesNode{n, label}, nil
	}
	if n.param, err = p.expr(e.Param, g); err != nil {
		return nil, err
	}
	_, n.constParam = e.Param.(*parser.NumberLiteral)
	switch e.Op {
	case parser.QUANTILE:
		return &quantileNode{n}, nil
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return &rankNode{n}, nil
	}
	return nil, uncovered(e.Op.String())
}

// absentLabels returns the labels that a selector pins, for the series that
// says that nothing was found.
func absentLabels(e parser.Expr) labels.Labels {
	var ms []*labels.Matcher
	switch e := e.(type) {
	case *parser.VectorSelector:
		ms = e.LabelMatchers
	case *parser.MatrixSelector:
		ms = e.VectorSelector.(*parser.VectorSelector).LabelMatchers
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	seen := map[string]bool{nameLabel: true}
	for _, m := range ms {
		switch {
		case m.Name == nameLabel:
		case m.Type == labels.MatchEqual && !seen[m.Name]:
			b.Set(m.Name, m.Value)
			seen[m.Name] = true
		default:
			b.Del(m.Name)
		}
	}
	return b.Labels()
}

// evalErrorf returns an error of the query itself that Prometheus raises with the
// same words.
func evalErrorf(format string, args ...any) error { return clipped(fmt.Errorf(format, args...)) }
