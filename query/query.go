package query

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/stats"
)

// Query is a prepared query. It runs on our own engine, or on Prometheus' if the
// plan does not cover it. It can be executed once.
type Query struct {
	engine   *Engine
	reads    *tracking
	text     string
	uncached bool // the answer must not come from the cache
	stmt     *parser.EvalStmt
	settings planSettings
	grid     grid
	rates    []rateCall // in stmt
	node     node       // nil if the expression is not covered
	why      error      // an uncovered; nil if the expression is covered

	timers      *stats.QueryTimers
	samples     *stats.QuerySamples
	cancel      context.CancelFunc
	mem         *tracker // of the answer, until Close
	share       *share
	cachedSteps int

	// newFallback prepares the query for Prometheus' engine.
	newFallback func(promstorage.Queryable) (promql.Query, error)
	fallback    promql.Query // nil unless the query runs there

	abandoned bool // the execution still runs, and closes the query when it ends
}

var _ promql.Query = (*Query)(nil)

// prepare parses and plans a query. The error is that of the parser.
func (e *Engine) prepare(q promstorage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration, instant bool) (*Query, error) {
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
	p := &Query{
		engine: e, reads: track(q), text: qs, settings: e.settings,
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
// does for everything else. PreprocessExpr skips them, so that in Prometheus'
// engine @ moves with the steps there and start() and end() have no effect.
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

// abandonAfter is how long a query may go on after its context ended before
// its client gets an answer without it.
const abandonAfter = 50 * time.Millisecond

// Exec runs the query. Its result is valid until Close.
//
// Prometheus' engine checks its context between steps and series, but not while
// it walks the steps of one series of a subquery, which can take minutes. A query
// that does not end with its context is abandoned: its client gets an answer, and
// the query keeps its slot until it has noticed.
func (p *Query) Exec(ctx context.Context) *promql.Result {
	ctx, cancel := context.WithTimeout(withLeaveToRun(ctx), p.engine.timeout)
	defer cancel()
	ended, abandoned := make(chan outcome), make(chan struct{})
	go func() {
		o := p.run(ctx)
		select {
		case ended <- o:
		case <-abandoned:
			p.release()
		}
	}()
	select {
	case o := <-ended:
		return p.result(o)
	case <-ctx.Done():
	}
	select {
	case o := <-ended:
		return p.result(o)
	case <-time.After(abandonAfter):
		p.abandoned = true
		close(abandoned)
		return &promql.Result{Err: contextError(ctx.Err(), inExecution)}
	}
}

// outcome is the end of an execution: a result or a panic.
type outcome struct {
	res      *promql.Result
	panicked any
	stack    []byte
}

// run executes the query and recovers from a panic.
func (p *Query) run(ctx context.Context) (o outcome) {
	defer func() {
		if r := recover(); r != nil {
			o = outcome{panicked: r, stack: debug.Stack()}
		}
	}()
	res := p.exec(ctx)
	p.engine.metrics.exceeded(res.Err)
	return outcome{res: res}
}

// result returns the result with the warnings that came up late, or continues
// the panic.
func (p *Query) result(o outcome) *promql.Result {
	if o.panicked != nil {
		panic(fmt.Sprintf("%v\n%s", o.panicked, o.stack))
	}
	o.res.Err = clipped(classify(o.res.Err))
	o.res.Warnings.Merge(p.reads.lateWarnings())
	return o.res
}

// exec runs the query on our own engine or, if that does not cover it, on
// Prometheus'.
func (p *Query) exec(ctx context.Context) *promql.Result {
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
	return p.execFallback(ctx)
}

// execFallback runs the query on Prometheus' engine.
func (p *Query) execFallback(ctx context.Context) *promql.Result {
	reason, _ := isUncovered(p.why)
	p.engine.metrics.fallbacks.WithLabelValues(reason).Inc()
	var err error
	if p.fallback, err = p.newFallback(p.reads); err != nil {
		return &promql.Result{Err: err}
	}
	p.resetMemory()
	p.reads.count(p.mem, newMadeLabels(p.stmt.Expr, p.settings.maxLabelValue, p.mem).hook())
	res := p.fallback.Exec(ctx)
	// Prometheus' engine counts samples, not bytes, while it works.
	if m, ok := res.Value.(promql.Matrix); ok && res.Err == nil {
		if err := p.mem.take(matrixBytes(m)); err != nil {
			return &promql.Result{Err: err}
		}
	}
	return res
}

// execOwn runs the plan. It runs it again if the query turns out to be heavy and
// must make room for light ones, or if it cannot be answered in parts.
func (p *Query) execOwn(ctx context.Context) (*promql.Result, error) {
	total, ctx := p.timers.GetSpanTimer(ctx, stats.ExecTotalTime)
	defer total.Finish()
	for heavy := false; ; {
		res, err := p.attempt(ctx, heavy)
		switch {
		case errors.Is(err, errHeavy):
			heavy = true
		case errors.Is(err, errIndivisible):
			p.uncached = true
		default:
			return res, err
		}
		p.mem.close()
		p.samples = stats.NewQuerySamples(p.samples.EnablePerStepStats)
	}
}

// attempt waits for a light or a heavy slot and runs the plan.
func (p *Query) attempt(ctx context.Context, heavy bool) (*promql.Result, error) {
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
	p.resetMemory()
	eval, ctx := p.timers.GetSpanTimer(ctx, stats.EvalTotalTime)
	defer eval.Finish()
	if err := ctx.Err(); err != nil {
		return nil, contextError(err, inExecution)
	}
	prep, _ := p.timers.GetSpanTimer(ctx, stats.QueryPreparationTime)
	kept := p.lookUp()
	q, err := p.reads.open(promql.FindMinMaxTime(p.stmt))
	prep.Finish()
	if err != nil {
		return nil, err
	}
	if q == nil {
		return nil, uncovered(reasonStorage)
	}
	defer q.Close()
	y := newYielder(ctx, p.share, place)
	defer y.close()
	q.setYield(y.yield)
	x := newExec(execOptions{
		settings: p.settings.settings, yielder: y, querier: q, mem: p.mem, workers: p.engine.cores.size(),
		nonCounters: newNonCounters(p.rates, kept.steps(), p.mem), divided: kept != nil,
		timers: p.timers, log: p.engine.log,
	})
	defer x.close()
	p.samples.InitStepTracking(p.grid.start, p.grid.last(), p.grid.step)
	inner, _ := p.timers.GetSpanTimer(ctx, stats.InnerEvalTime)
	began = time.Now()
	v, err := p.evaluate(x.frame(p.samples), kept)
	inner.Finish()
	stage.WithLabelValues(stageSelect).Observe(q.selecting().Seconds())
	stage.WithLabelValues(stageEvaluate).Observe((time.Since(began) - q.selecting()).Seconds())
	p.samples.UpdatePeak(x.peakPoints())
	if err == nil && y.isEnded() {
		err = x.check()
	}
	if err != nil {
		return nil, err
	}
	return &promql.Result{Value: v, Warnings: x.annotations(p.grid)}, nil
}

// resetMemory counts what the query holds from zero again.
func (p *Query) resetMemory() {
	p.mem.close()
	p.mem = p.engine.tracker()
	p.reads.count(p.mem, nil)
}

// evaluate returns the value of the query; kept is nil if its answer is not kept.
func (p *Query) evaluate(f *frame, kept *lookup) (parser.Value, error) {
	return f.recovered(func() (parser.Value, error) {
		if kept == nil {
			return f.answer(p.node, p.stmt.Expr.Type(), p.grid, p.stmt.Start.Equal(p.stmt.End) && p.stmt.Interval == 0)
		}
		m, err := kept.answer(partEvaluator{f, p})
		p.cachedSteps = kept.stepsFromCache()
		return m, err
	})
}

// lookUp asks the cache. It returns nil for a query whose answer is not kept. The
// view is opened afterwards: see storage.Changes.
func (p *Query) lookUp() *lookup {
	if p.uncached || p.settings.delayedNames || p.samples.EnablePerStepStats {
		return nil
	}
	changes, tenant, ok := p.reads.changes()
	if !ok {
		return nil
	}
	return p.engine.answers.lookUp(changes, tenant, p.stmt.Expr, p.settings.lookback, p.grid)
}

// partEvaluator evaluates a query for the cache, on parts of its grid.
type partEvaluator struct {
	*frame
	query *Query
}

func (e partEvaluator) evaluate(part, whole grid) (promql.Matrix, error) {
	n := e.query.node
	if part != whole {
		var err error
		if n, err = planPart(&e.query.settings, e.query.stmt.Expr, part, whole); err != nil {
			return nil, err
		}
	}
	return e.matrix(n, part)
}

// Close frees the result.
func (p *Query) Close() {
	if !p.abandoned {
		p.release()
	}
}

func (p *Query) release() {
	if p.fallback != nil {
		p.fallback.Close()
	}
	p.mem.close()
}

// CachedSteps returns the number of steps of the answer that came from the cache.
func (p *Query) CachedSteps() int {
	if p.abandoned {
		return 0
	}
	return p.cachedSteps
}

// Statement returns the parsed query.
func (p *Query) Statement() parser.Statement { return p.stmt }

// Stats returns times and counts of samples.
func (p *Query) Stats() *stats.Statistics {
	if p.fallback != nil {
		return p.fallback.Stats()
	}
	return &stats.Statistics{Timers: p.timers, Samples: p.samples}
}

// Cancel ends the execution.
func (p *Query) Cancel() {
	if p.cancel != nil {
		p.cancel()
	}
}

// String returns the query's text.
func (p *Query) String() string { return p.text }
