package query

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/stats"
)

// planned is a query that runs on our own engine, or on Prometheus' if the plan
// does not cover it. It can be executed once.
type planned struct {
	engine    *Engine
	queryable *witness
	text      string
	uncached  bool // the answer is not to come from the cache
	fromCache int  // steps that did
	stmt      *parser.EvalStmt
	settings  settings
	grid      grid
	rates     []rateCall // in stmt
	node      node       // nil if not covered
	why       error      // an uncovered, if not

	timers  *stats.QueryTimers
	samples *stats.QuerySamples
	cancel  context.CancelFunc
	mem     *tracker // of the answer, until Close
	share   *share

	// prometheus prepares the query for Prometheus' engine.
	prometheus func() (promql.Query, error)
	inner      promql.Query // nil unless it runs there
}

var _ promql.Query = (*planned)(nil)

// prepare parses and plans a query. The error is that of the parser.
func (e *Engine) prepare(q *witness, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration, instant bool) (*planned, error) {
	expr, err := e.parser.ParseExpr(qs)
	if err != nil {
		return nil, err
	}
	if !instant && expr.Type() != parser.ValueTypeVector && expr.Type() != parser.ValueTypeScalar {
		return nil, fmt.Errorf("invalid expression type %q for range query, must be Scalar or instant Vector", parser.DocumentedType(expr.Type()))
	}
	expr, err = promql.PreprocessExpr(expr, start, end, interval)
	if err != nil {
		return nil, err
	}
	if err := preprocessParams(expr, start, end, interval); err != nil {
		return nil, err
	}
	p := &planned{
		engine: e, queryable: q, text: qs, settings: e.settings,
		stmt:   &parser.EvalStmt{Expr: expr, Start: start, End: end, Interval: interval, LookbackDelta: e.lookback},
		timers: stats.NewQueryTimers(), share: e.cores.share(),
	}
	perStep := false
	if opts != nil {
		perStep = e.perStepStats && opts.EnablePerStepStats()
		if d := opts.LookbackDelta(); d > 0 {
			p.stmt.LookbackDelta = d
		}
		_, p.uncached = opts.(uncachedOpts)
	}
	p.samples = stats.NewQuerySamples(perStep)
	p.settings.lookback = p.stmt.LookbackDelta.Milliseconds()
	if instant {
		p.grid = grid{start: start.UnixMilli(), step: 1, n: 1, instant: true}
	} else {
		p.grid = grid{start: start.UnixMilli(), step: interval.Milliseconds()}
		if p.grid.step > 0 {
			p.grid = newGrid(p.grid.start, end.UnixMilli(), p.grid.step)
		}
	}
	if p.grid.n == 0 {
		p.why = uncovered(reasonExpression)
		return p, nil
	}
	p.rates = ratesOf(expr)
	p.node, p.why = plan(&p.settings, expr, p.grid)
	return p, nil
}

// preprocessParams does for the parameters of aggregations what PreprocessExpr
// does for all else: it leaves them out, so that @ moves with the steps in
// Prometheus' engine, and start() and end() count for nothing.
func preprocessParams(expr parser.Expr, start, end time.Time, interval time.Duration) (err error) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		a, ok := n.(*parser.AggregateExpr)
		if ok && a.Param != nil && a.Param.Type() == parser.ValueTypeScalar && err == nil {
			if _, literal := a.Param.(*parser.NumberLiteral); !literal {
				a.Param, err = promql.PreprocessExpr(a.Param, start, end, interval)
			}
		}
		return err
	})
	return err
}

// Exec runs the query.
func (p *planned) Exec(ctx context.Context) *promql.Result {
	res := p.exec(ctx)
	p.engine.metrics.exceeded(res.Err)
	return res
}

func (p *planned) exec(ctx context.Context) *promql.Result {
	ctx, p.cancel = context.WithCancel(ctx)
	defer p.cancel()
	if p.why == nil {
		res, err := p.execOwn(ctx)
		if _, ok := isUncovered(err); !ok {
			if err != nil {
				return &promql.Result{Err: err}
			}
			return res
		}
		p.why = err
	}
	reason, _ := isUncovered(p.why)
	p.engine.metrics.fallbacks.WithLabelValues(reason).Inc()
	var err error
	if p.inner, err = p.prometheus(); err != nil {
		return &promql.Result{Err: err}
	}
	p.track()
	p.queryable.track(p.mem, newMadeLabels(p.stmt.Expr, p.settings.maxLabelValue, p.mem))
	res := p.inner.Exec(ctx)
	// Prometheus' engine counts samples, not bytes, while it works.
	if m, ok := res.Value.(promql.Matrix); ok && res.Err == nil {
		bytes := pointBytes * int64(m.TotalSamples())
		for i := range m {
			bytes += answerBytes(m[i].Metric, 0)
		}
		if err := p.mem.take(bytes); err != nil {
			return &promql.Result{Err: err}
		}
	}
	return res
}

// execOwn waits for its turn and runs the plan: once more if the query turns out
// to be heavy where it may not, or if it cannot be answered in parts.
func (p *planned) execOwn(ctx context.Context) (*promql.Result, error) {
	total, ctx := p.timers.GetSpanTimer(ctx, stats.ExecTotalTime)
	defer total.Finish()
	for heavy := false; ; {
		res, err := p.attempt(ctx, heavy)
		switch {
		case errors.Is(err, errHeavy):
			heavy = true
		case errors.Is(err, errParts):
			p.uncached = true
		default:
			return res, err
		}
		p.mem.close()
		p.samples = stats.NewQuerySamples(p.samples.EnablePerStepStats)
	}
}

// attempt waits for a place among the light or the heavy queries and runs the
// plan.
func (p *planned) attempt(ctx context.Context, heavy bool) (*promql.Result, error) {
	began := time.Now()
	wait, _ := p.timers.GetSpanTimer(ctx, stats.ExecQueueTime)
	place, err := p.engine.queue.enter(ctx, p.text, heavy)
	if err != nil {
		wait.Finish()
		return nil, err
	}
	defer place.leave()
	p.share.begin(ctx)
	defer p.share.end()
	wait.Finish()
	stage := p.engine.metrics.stages
	stage.WithLabelValues(stageQueue).Observe(time.Since(began).Seconds())
	p.track()
	eval, ctx := p.timers.GetSpanTimer(ctx, stats.EvalTotalTime)
	defer eval.Finish()
	if err := ctx.Err(); err != nil {
		return nil, contextError(err, inExecution)
	}
	prep, _ := p.timers.GetSpanTimer(ctx, stats.QueryPreparationTime)
	kept := p.lookUp()
	q, err := p.queryable.Querier(promql.FindMinMaxTime(p.stmt))
	prep.Finish()
	if err != nil {
		return nil, err
	}
	defer q.Close()
	ours, ok := q.(*querier)
	if !ok {
		return nil, uncovered(reasonStorage)
	}
	ours.recovers = false // iterators report errors to us
	y := newYielder(ctx, p.share, place)
	defer y.close()
	ours.setYield(y.yield)
	x := &exec{
		settings: &p.settings, yielder: y, querier: ours, workers: p.share.cores.total,
		mem: p.mem, parts: kept != nil, log: p.engine.log, nonCounters: nonCounters{rates: p.rates, kept: kept.steps(), mem: p.mem},
	}
	defer x.close()
	p.samples.InitStepTracking(p.grid.start, p.grid.last(), p.grid.step)
	inner, _ := p.timers.GetSpanTimer(ctx, stats.InnerEvalTime)
	began = time.Now()
	v, err := p.evaluate(&frame{x, &counts{qs: p.samples}}, kept)
	inner.Finish()
	stage.WithLabelValues(stageSelect).Observe(ours.selecting().Seconds())
	stage.WithLabelValues(stageEvaluate).Observe((time.Since(began) - ours.selecting()).Seconds())
	p.samples.UpdatePeak(int(x.peak.Load()))
	if err == nil && x.ended.Load() {
		err = x.check()
	}
	if err != nil {
		return nil, err
	}
	x.nonCounters.tell(&x.mu.annos, p.grid)
	x.mu.annos.tell()
	return &promql.Result{Value: v, Warnings: x.mu.annos.all}, nil
}

// track begins to count what the query holds, from nothing.
func (p *planned) track() {
	p.mem.close()
	p.mem = p.engine.tracker()
	p.queryable.track(p.mem, nil)
}

// evaluate returns the value of the query; kept is what the cache knows, or nil.
func (p *planned) evaluate(f *frame, kept *lookup) (v parser.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(f.log, r)
		}
	}()
	instant := p.stmt.Start.Equal(p.stmt.End) && p.stmt.Interval == 0
	switch p.stmt.Expr.Type() {
	case parser.ValueTypeString:
		s, ok := p.node.(*stringNode)
		if !ok {
			return nil, uncovered(reasonExpression)
		}
		return promql.String{V: s.value, T: p.grid.start}, nil
	case parser.ValueTypeMatrix:
		n, ok := p.node.(interface {
			matrix(*frame) (promql.Matrix, error)
		})
		if !ok {
			return nil, uncovered(reasonExpression)
		}
		m, err := n.matrix(f)
		if err != nil {
			return nil, err
		}
		if m, err = p.withoutNames(m); err != nil {
			return nil, err
		}
		return p.sorted(m), nil
	}
	if kept != nil {
		return kept.answer(f)
	}
	if !instant && !f.delayedNames {
		return p.matrix(f, p.node, p.grid)
	}
	t, err := f.table(p.node)
	if err != nil {
		return nil, err
	}
	if f.delayedNames {
		for i := range t.cols {
			if c := &t.cols[i]; c.drop {
				if err := f.takeFor(t, int64(c.metric.ByteSize())); err != nil {
					return nil, err
				}
				c.metric = dropped(c.metric)
			}
		}
		if t.cols, err = mergeEqual(f.mem, t.cols); err != nil {
			return nil, err
		}
	}
	if !instant {
		m, err := f.matrixOf(t, p.grid)
		return p.sorted(m), err
	}
	if p.stmt.Expr.Type() == parser.ValueTypeScalar {
		return promql.Scalar{V: t.cols[0].v[0], T: p.grid.start}, nil
	}
	vec := make(promql.Vector, len(t.cols))
	for i, c := range t.cols {
		s := promql.Sample{Metric: c.metric, T: p.grid.start, DropName: c.drop}
		if s.H = c.histogramAt(0); s.H == nil {
			s.F = c.v[0]
		}
		vec[i] = s
	}
	return vec, nil
}

// withoutNames drops the names of a matrix's series that are marked so.
func (p *planned) withoutNames(m promql.Matrix) (promql.Matrix, error) {
	if !p.settings.delayedNames {
		return m, nil
	}
	for i := range m {
		if m[i].DropName {
			if err := p.mem.take(int64(m[i].Metric.ByteSize())); err != nil {
				return nil, err
			}
			m[i].Metric = dropped(m[i].Metric)
		}
	}
	if m.ContainsSameLabelset() {
		return nil, uncovered(reasonExpression) // their points are to be merged
	}
	return m, nil
}

// matrix evaluates a node on its grid, column by column.
func (p *planned) matrix(f *frame, n node, g grid) (promql.Matrix, error) {
	src, err := f.open(n)
	if err != nil {
		return nil, err
	}
	defer src.close()
	m := promql.Matrix{}
	err = f.each(src, func(_ int, c *column) error {
		points := c.points()
		if points == 0 {
			return nil
		}
		if err := f.hold(points); err != nil {
			return err
		}
		if err := f.mem.take(answerBytes(c.metric, points)); err != nil {
			return err
		}
		m = append(m, seriesOf(c, g))
		return nil
	})
	return p.sorted(m), err
}

// matrixOf returns the values of a table as points.
func (f *frame) matrixOf(t *table, g grid) (promql.Matrix, error) {
	m := make(promql.Matrix, 0, len(t.cols))
	for i := range t.cols {
		c := &t.cols[i]
		points := c.points()
		if points == 0 {
			continue
		}
		if err := f.mem.take(answerBytes(c.metric, points)); err != nil {
			return nil, err
		}
		m = append(m, seriesOf(c, g))
	}
	f.drop(t)
	return m, nil
}

// seriesOf returns the values of a column as points.
func seriesOf(c *column, g grid) promql.Series {
	s := promql.Series{Metric: c.metric, DropName: c.drop}
	floats := 0
	for _, v := range c.v {
		if !isAbsent(v) {
			floats++
		}
	}
	if floats > 0 {
		s.Floats = make([]promql.FPoint, 0, floats)
		for i, v := range c.v {
			if !isAbsent(v) {
				s.Floats = append(s.Floats, promql.FPoint{T: g.at(i), F: v})
			}
		}
	}
	for i, h := range c.h {
		if h != nil {
			s.Histograms = append(s.Histograms, promql.HPoint{T: g.at(i), H: h})
		}
	}
	return s
}

func (p *planned) sorted(m promql.Matrix) promql.Matrix {
	t, _ := p.timers.GetSpanTimer(context.Background(), stats.ResultSortTime)
	sort.Sort(m)
	t.Finish()
	return m
}

// Close frees what the result uses.
func (p *planned) Close() {
	if p.inner != nil {
		p.inner.Close()
	}
	p.mem.close()
}

// Statement returns the parsed query.
func (p *planned) Statement() parser.Statement { return p.stmt }

// Stats returns times and counts of samples.
func (p *planned) Stats() *stats.Statistics {
	if p.inner != nil {
		return p.inner.Stats()
	}
	return &stats.Statistics{Timers: p.timers, Samples: p.samples}
}

// Cancel ends the execution.
func (p *planned) Cancel() {
	if p.cancel != nil {
		p.cancel()
	}
}

// String returns the query's text.
func (p *planned) String() string { return p.text }
