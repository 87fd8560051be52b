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

	"tsdb/query/admission"
	"tsdb/query/noncounter"
	"tsdb/query/operators"
	"tsdb/query/resultcache"
	"tsdb/query/source"
	"tsdb/query/steps"
	"tsdb/query/tiers"
)

// Query is a prepared query. It runs on our own engine, or on Prometheus' engine if
// ours does not cover it. It can be executed once.
type Query struct {
	engine     *Engine
	reads      *source.Tracking
	text       string
	uncached   bool // the answer must not come from the cache
	uncounted  bool // its metrics do not count as asked for
	resolution tiers.Resolution
	stmt       *parser.EvalStmt
	settings   planSettings
	grid       steps.Grid
	rates      []noncounter.Call // in stmt
	node       operators.Node    // nil if the expression is not covered
	tierReads  []selectorRead    // of node
	planErr    error             // an operators.Uncovered; nil if the expression is covered

	timers      *stats.QueryTimers
	samples     *stats.QuerySamples
	cancel      context.CancelFunc
	mem         *admission.Tracker // of the answer, until Close
	share       *admission.CPUShare
	cachedSteps int
	bucketsRead map[string]int64 // by tier

	// newFallback prepares the query for Prometheus' engine.
	newFallback func(promstorage.Queryable) (promql.Query, error)
	fallback    promql.Query // nil unless the query runs on Prometheus' engine

	abandoned bool // the execution still runs and closes the query when it ends
}

var _ promql.Query = (*Query)(nil)

// prepare parses and plans a query. It returns the error of the parser.
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
		engine: e, reads: source.Track(q), text: qs, settings: e.settings,
		stmt:   &parser.EvalStmt{Expr: expr, Start: start, End: end, Interval: interval, LookbackDelta: e.lookback},
		timers: stats.NewQueryTimers(), share: e.scheduler.NewShare(), resolution: e.resolution,
	}
	perStep := false
	if opts != nil {
		perStep = e.perStepStats && opts.EnablePerStepStats()
		if d := opts.LookbackDelta(); d > 0 {
			p.stmt.LookbackDelta = d
		}
		own := optsOf(opts)
		p.uncached, p.uncounted = own.uncached, own.uncounted
		if own.resolution != nil {
			p.resolution = *own.resolution
		}
	}
	p.samples = stats.NewQuerySamples(perStep)
	p.settings.lookback = p.stmt.LookbackDelta.Milliseconds()
	if instant {
		p.grid = steps.Grid{Start: start.UnixMilli(), Step: 1, N: 1, Instant: true}
	} else {
		p.grid = steps.Grid{Start: start.UnixMilli(), Step: interval.Milliseconds()}
		if p.grid.Step > 0 {
			p.grid = steps.New(p.grid.Start, end.UnixMilli(), p.grid.Step)
		}
	}
	if p.grid.N == 0 {
		p.planErr = operators.Uncovered(operators.ReasonExpression)
		return p, nil
	}
	p.rates = noncounter.CallsOf(expr)
	p.node, p.tierReads, p.planErr = plan(&p.settings, expr, p.grid)
	return p, nil
}

// preprocessParams preprocesses the parameters of aggregations. PreprocessExpr skips
// them, so that in Prometheus' engine @ moves with the steps in them, and start()
// and end() have no effect.
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

// abandonAfter is the time a query may continue after its context has ended, before
// it is abandoned.
const abandonAfter = 50 * time.Millisecond

// Exec runs the query. Its result is valid until Close.
//
// Prometheus' engine checks its context between steps and series, but not while it
// iterates over the steps of one series of a subquery, which can take minutes. A
// query that does not end with its context is abandoned: Exec returns the context's
// error, and the query keeps its slot until it ends.
func (p *Query) Exec(ctx context.Context) *promql.Result {
	ctx, cancel := context.WithTimeout(admission.ForExecution(ctx), p.engine.timeout)
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
		return &promql.Result{Err: admission.ContextError(ctx.Err(), admission.InExecution)}
	}
}

// outcome is the end of an execution: a result or a panic.
type outcome struct {
	res      *promql.Result
	panicked any
	stack    []byte
}

// run executes the query and recovers from panics.
func (p *Query) run(ctx context.Context) (o outcome) {
	defer func() {
		if r := recover(); r != nil {
			o = outcome{panicked: r, stack: debug.Stack()}
		}
	}()
	res := p.exec(ctx)
	p.engine.metrics.exceeded(res.Err)
	if res.Err == nil && p.engine.countName != nil && !p.uncounted {
		p.countNames(ctx)
	}
	return outcome{res: res}
}

// result returns the result, including late warnings, or continues the panic.
func (p *Query) result(o outcome) *promql.Result {
	if o.panicked != nil {
		panic(fmt.Sprintf("%v\n%s", o.panicked, o.stack))
	}
	o.res.Err = admission.ClipError(classify(o.res.Err))
	o.res.Warnings.Merge(p.reads.LateWarnings())
	return o.res
}

// exec runs the query on our own engine or, if ours does not cover it, on
// Prometheus'.
func (p *Query) exec(ctx context.Context) *promql.Result {
	ctx, p.cancel = context.WithCancel(ctx)
	defer p.cancel()
	if p.planErr == nil {
		res, err := p.execOwn(ctx)
		if _, ok := operators.IsUncovered(err); !ok {
			if err != nil {
				return &promql.Result{Err: err}
			}
			return res
		}
		p.planErr = err
	}
	return p.execFallback(ctx)
}

// execFallback runs the query on Prometheus' engine.
func (p *Query) execFallback(ctx context.Context) *promql.Result {
	reason, _ := operators.IsUncovered(p.planErr)
	p.engine.metrics.fallbacks.WithLabelValues(reason).Inc()
	var err error
	if p.fallback, err = p.newFallback(p.reads); err != nil {
		return &promql.Result{Err: err}
	}
	p.resetMemory()
	p.reads.SetMemory(p.mem, newLabelEstimate(p.stmt.Expr, p.settings.MaxLabelValue, p.mem).hook())
	res := p.fallback.Exec(ctx)
	if err := p.warnExpired(reason); err != nil {
		res.Warnings.Add(err)
	}
	// Prometheus' engine counts samples, not bytes, during evaluation.
	if m, ok := res.Value.(promql.Matrix); ok && res.Err == nil {
		if err := p.mem.Reserve(operators.MatrixBytes(m)); err != nil {
			return &promql.Result{Err: err}
		}
	}
	return res
}

// execOwn runs the plan. It runs the plan again if the query is preempted, or if it
// cannot be answered in parts.
func (p *Query) execOwn(ctx context.Context) (*promql.Result, error) {
	total, ctx := p.timers.GetSpanTimer(ctx, stats.ExecTotalTime)
	defer total.Finish()
	for heavy := false; ; {
		res, err := p.attempt(ctx, heavy)
		switch {
		case errors.Is(err, admission.ErrPreempted):
			heavy = true
		case errors.Is(err, steps.ErrIndivisible):
			p.uncached = true
		default:
			return res, err
		}
		p.mem.Close()
		p.samples = stats.NewQuerySamples(p.samples.EnablePerStepStats)
	}
}

// attempt waits for a light or a heavy slot and runs the plan.
func (p *Query) attempt(ctx context.Context, heavy bool) (*promql.Result, error) {
	began := time.Now()
	wait, _ := p.timers.GetSpanTimer(ctx, stats.ExecQueueTime)
	slot, err := p.engine.queue.Acquire(ctx, p.text, heavy)
	if err != nil {
		wait.Finish()
		return nil, err
	}
	defer slot.Release()
	p.share.Acquire(ctx)
	defer p.share.Release()
	wait.Finish()
	stage := p.engine.metrics.stages
	stage.WithLabelValues(stageQueue).Observe(time.Since(began).Seconds())
	p.resetMemory()
	eval, ctx := p.timers.GetSpanTimer(ctx, stats.EvalTotalTime)
	defer eval.Finish()
	if err := ctx.Err(); err != nil {
		return nil, admission.ContextError(err, admission.InExecution)
	}
	prep, _ := p.timers.GetSpanTimer(ctx, stats.QueryPreparationTime)
	kept := p.lookUp()
	q, err := p.reads.Open(promql.FindMinMaxTime(p.stmt))
	prep.Finish()
	if err != nil {
		return nil, err
	}
	if q == nil {
		return nil, operators.Uncovered(operators.ReasonStorage)
	}
	defer q.Close()
	y := admission.NewYielder(ctx, p.share, slot)
	defer y.Close()
	q.SetYield(y.Yield)
	x := operators.NewRun(operators.RunOptions{
		Settings: p.settings.Settings, Yielder: y, Querier: q, Mem: p.mem, Workers: p.engine.scheduler.Slots(),
		NonCounters: noncounter.New(p.rates, kept.Steps(), p.mem), Divided: kept != nil,
		Resolution: p.resolution, Timers: p.timers, Log: p.engine.log,
	})
	defer x.Close()
	p.samples.InitStepTracking(p.grid.Start, p.grid.Last(), p.grid.Step)
	inner, _ := p.timers.GetSpanTimer(ctx, stats.InnerEvalTime)
	began = time.Now()
	v, err := p.evaluate(x.Evaluation(p.samples), kept)
	inner.Finish()
	stage.WithLabelValues(stageSelect).Observe(q.SelectDuration().Seconds())
	stage.WithLabelValues(stageEvaluate).Observe((time.Since(began) - q.SelectDuration()).Seconds())
	p.samples.UpdatePeak(x.PeakPoints())
	p.bucketsRead = x.BucketsRead()
	p.engine.metrics.buckets.Add(float64(sumOf(p.bucketsRead)))
	if err == nil && y.Ended() {
		err = x.Check()
	}
	if err != nil {
		return nil, err
	}
	return &promql.Result{Value: v, Warnings: x.Annotations(p.grid)}, nil
}

// resetMemory releases the query's memory and replaces its tracker.
func (p *Query) resetMemory() {
	p.mem.Close()
	p.mem = p.engine.tracker()
	p.reads.SetMemory(p.mem, nil)
}

// evaluate returns the value of the query. kept is nil if its answer is not cached.
func (p *Query) evaluate(f *operators.Evaluation, kept *resultcache.Lookup) (parser.Value, error) {
	return f.Recovered(func() (parser.Value, error) {
		if kept == nil {
			return f.Answer(p.node, p.stmt.Expr.Type(), p.grid, p.stmt.Start.Equal(p.stmt.End) && p.stmt.Interval == 0)
		}
		m, err := kept.Answer(partEvaluator{f, p})
		p.cachedSteps = kept.CachedSteps()
		return m, err
	})
}

// lookUp looks the query up in the cache. It returns nil if its answer is not
// cached. The caller opens the view afterwards: see storage.Changes.
func (p *Query) lookUp() *resultcache.Lookup {
	if p.uncached || p.settings.DelayedNames || p.samples.EnablePerStepStats {
		return nil
	}
	changes, tenant, ok := p.reads.Changes()
	if !ok {
		return nil
	}
	return p.engine.answers.LookUp(changes, tenant, p.stmt.Expr, p.settings.lookback, p.resolution, p.grid)
}

// partEvaluator evaluates a query on parts of its grid for the cache.
type partEvaluator struct {
	*operators.Evaluation
	query *Query
}

func (e partEvaluator) Evaluate(part, whole steps.Grid) (promql.Matrix, error) {
	n := e.query.node
	if part != whole {
		var err error
		if n, err = planPart(&e.query.settings, e.query.stmt.Expr, part, whole); err != nil {
			return nil, err
		}
	}
	return e.Matrix(n, part)
}

// Close releases the result.
func (p *Query) Close() {
	if !p.abandoned {
		p.release()
	}
}

func (p *Query) release() {
	if p.fallback != nil {
		p.fallback.Close()
	}
	p.mem.Close()
}

// CachedSteps returns the number of steps of the answer taken from the cache.
func (p *Query) CachedSteps() int {
	if p.abandoned {
		return 0
	}
	return p.cachedSteps
}

// BucketsRead returns the number of buckets of rollups that the answer was computed
// from. They count as samples read in Stats.
func (p *Query) BucketsRead() int64 {
	return sumOf(p.BucketsReadByTier())
}

func sumOf(byTier map[string]int64) (n int64) {
	for _, read := range byTier {
		n += read
	}
	return n
}

// BucketsReadByTier is BucketsRead by the name of the tier; nil if there were none.
func (p *Query) BucketsReadByTier() map[string]int64 {
	if p.abandoned {
		return nil
	}
	return p.bucketsRead
}

// Statement returns the parsed query.
func (p *Query) Statement() parser.Statement { return p.stmt }

// Stats returns timings and sample counts.
func (p *Query) Stats() *stats.Statistics {
	if p.fallback != nil {
		return p.fallback.Stats()
	}
	return &stats.Statistics{Timers: p.timers, Samples: p.samples}
}

// Cancel cancels the execution.
func (p *Query) Cancel() {
	if p.cancel != nil {
		p.cancel()
	}
}

// String returns the query's text.
func (p *Query) String() string { return p.text }
