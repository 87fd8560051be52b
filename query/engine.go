package query

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query/admission"
	"tsdb/query/operators"
	"tsdb/query/resultcache"
	"tsdb/query/tiers"
)

// The defaults of Options.
const (
	DefaultTimeout       = 2 * time.Minute
	DefaultMaxSamples    = 50_000_000
	DefaultLookback      = 5 * time.Minute
	DefaultSubqueryStep  = time.Minute
	DefaultMaxConcurrent = 20
	DefaultMaxLabelValue = 16 << 10
	DefaultMaxQueued     = 1000
	DefaultMaxPoints     = 11_000 // points per series of a range query; checked by the APIs
)

// Options are the settings of an Engine. The zero value gives the answers of
// Prometheus without feature flags.
type Options struct {
	Timeout      time.Duration // maximum time of a query, including waiting; a longer query returns promql.ErrQueryTimeout; 0 = DefaultTimeout
	MaxSamples   int           // samples a query may hold in memory; 0 = DefaultMaxSamples
	MaxBytes     int64         // memory a query may hold; 0 = no limit
	TotalBytes   int64         // memory that all queries may hold together; 0 = no limit
	MaxSeries    int64         // series a query may select; 0 = no limit
	MaxRead      int64         // samples a query may read; 0 = no limit
	Lookback     time.Duration // a sample older than this is stale; 0 = DefaultLookback
	SubqueryStep time.Duration // step of a subquery without an explicit step; 0 = DefaultSubqueryStep
	Resolution   Resolution    // tier that queries read whose options name none

	MaxConcurrent int // maximum number of running heavy queries, and of light ones; 0 = DefaultMaxConcurrent
	MaxQueued     int // maximum number of queries waiting for a slot, others get ErrOverloaded; 0 = DefaultMaxQueued
	Cores         int // CPU slots: goroutines that evaluate queries at a time; 0 = GOMAXPROCS

	// CacheBytes is the memory for cached answers of range queries; 0 = no cache.
	// It is part of TotalBytes and limited to a quarter of it.
	CacheBytes int64

	Parser             parser.Options       // language features beyond the stable ones
	MaxLabelValue      int                  // bytes of a label value created by a query; 0 = DefaultMaxLabelValue
	Text               admission.TextLimits // limits of a query's text
	DelayedNameRemoval bool                 // drop metric names after the whole evaluation instead of at each function
	UseStartTimestamps bool                 // let rate, increase, irate and resets use start timestamps
	PerStepStats       bool                 // count samples per step for clients that request it

	// Started is called when a query starts to run, after waiting for a slot; the
	// function it returns is called when the query ends. nil = not called.
	Started func(query string) (ended func())

	// CountName is called after a query for the metric of each of its selectors or, if a
	// selector names none, for all that it matches. nil = not called.
	CountName func(metric string)

	Logger     *slog.Logger          // nil = none
	Registerer prometheus.Registerer // for the engine's metrics; nil = none
}

func (o Options) withDefaults() Options {
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.MaxSamples, DefaultMaxSamples)
	setDefault(&o.Lookback, DefaultLookback)
	setDefault(&o.SubqueryStep, DefaultSubqueryStep)
	setDefault(&o.MaxLabelValue, DefaultMaxLabelValue)
	setDefault(&o.MaxConcurrent, DefaultMaxConcurrent)
	setDefault(&o.MaxQueued, DefaultMaxQueued)
	setDefault(&o.Cores, runtime.GOMAXPROCS(0))
	if o.TotalBytes > 0 {
		o.CacheBytes = min(o.CacheBytes, o.TotalBytes/4)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T int | time.Duration](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}

// Engine runs PromQL queries. It is safe for concurrent use.
type Engine struct {
	prometheus *promql.Engine // runs queries that our own engine does not cover
	parser     *Parser
	queue      *admission.Queue
	scheduler  *admission.Scheduler
	memory     *admission.Memory
	limits     admission.Limits
	answers    *resultcache.Cache
	timeout    time.Duration

	settings     planSettings
	lookback     time.Duration
	perStepStats bool
	resolution   tiers.Resolution // of queries whose options name none
	countName    func(string)     // nil = not called
	knownNames   knownNames
	log          *slog.Logger
	metrics      *metrics
}

var _ promql.QueryEngine = (*Engine)(nil)

// New returns an engine.
func New(o Options) *Engine {
	o = o.withDefaults()
	e := &Engine{
		parser:    NewParser(o.Parser, o.Text),
		queue:     admission.NewQueue(o.MaxConcurrent, o.MaxQueued, o.Started),
		scheduler: admission.NewScheduler(o.Cores, admission.ProcessCPU),
		memory:    admission.NewMemory(o.TotalBytes, o.CacheBytes),
		limits:    admission.Limits{Bytes: o.MaxBytes, Series: o.MaxSeries, Samples: o.MaxRead},
		answers:   resultcache.New(o.CacheBytes, o.Registerer),
		timeout:   o.Timeout,
		settings: planSettings{
			Settings:        operators.Settings{DelayedNames: o.DelayedNameRemoval, MaxSamples: o.MaxSamples, MaxLabelValue: o.MaxLabelValue},
			subqueryStep:    o.SubqueryStep.Milliseconds(),
			startTimestamps: o.UseStartTimestamps,
		},
		lookback:     o.Lookback,
		perStepStats: o.PerStepStats,
		resolution:   o.Resolution,
		countName:    o.CountName,
		log:          o.Logger,
	}
	e.metrics = newMetrics(e, o.TotalBytes, o.Registerer)
	unlimited := *e.parser // for texts that have been admitted already
	e.parser.memory, e.parser.refused = e.memory, e.metrics.exceeded
	e.prometheus = promql.NewEngine(promql.EngineOpts{
		Logger:                   o.Logger,
		Reg:                      o.Registerer,
		MaxSamples:               o.MaxSamples,
		Timeout:                  o.Timeout,
		ActiveQueryTracker:       e.queue,
		LookbackDelta:            o.Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return o.SubqueryStep.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       o.PerStepStats,
		EnableDelayedNameRemoval: o.DelayedNameRemoval,
		UseStartTimestamps:       o.UseStartTimestamps,
		Parser:                   &unlimited,
	})
	return e
}

// tracker returns a memory tracker for a new query.
func (e *Engine) tracker() *admission.Tracker { return e.memory.NewTracker(e.limits) }

// Parser returns the parser used by the engine.
func (e *Engine) Parser() *Parser { return e.parser }

// Waiting returns the number of queries waiting for a slot.
func (e *Engine) Waiting() int { return e.queue.Waiting() }

// MemoryBytes returns the memory held by queries, including their answers until they
// are closed.
func (e *Engine) MemoryBytes() int64 { return e.memory.Held() }

// DropCache drops all cached answers.
func (e *Engine) DropCache() { e.answers.Clear() }

// Close stops the goroutines of the engine. It is called after Drain and is not
// needed if Options.CacheBytes is 0.
func (e *Engine) Close() { e.answers.Close() }

// Drain prevents new queries from starting and waits until no query runs. It returns
// the error of ctx. Engines are drained before their database is closed.
func (e *Engine) Drain(ctx context.Context) error { return e.queue.Drain(ctx) }

// Instant prepares a query at one time. It returns the error of the parser.
func (e *Engine) Instant(ctx context.Context, q promstorage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (*Query, error) {
	p, err := e.prepare(q, opts, qs, ts, ts, 0, true)
	if err != nil {
		return nil, err
	}
	p.newFallback = func(reads promstorage.Queryable) (promql.Query, error) {
		if err := checkNanoseconds(ts); err != nil {
			return nil, err
		}
		return e.prometheus.NewInstantQuery(ctx, reads, opts, qs, ts)
	}
	return p, nil
}

// Range prepares a query at the times start, start + interval, … up to end. It
// returns the error of the parser.
func (e *Engine) Range(ctx context.Context, q promstorage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (*Query, error) {
	p, err := e.prepare(q, opts, qs, start, end, interval, false)
	if err != nil {
		return nil, err
	}
	p.newFallback = func(reads promstorage.Queryable) (promql.Query, error) {
		if err := checkNanoseconds(start, end); err != nil {
			return nil, err
		}
		return e.prometheus.NewRangeQuery(ctx, reads, opts, qs, start, end, interval)
	}
	return p, nil
}

// NewInstantQuery implements promql.QueryEngine: see Instant.
func (e *Engine) NewInstantQuery(ctx context.Context, q promstorage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	p, err := e.Instant(ctx, q, opts, qs, ts)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// NewRangeQuery implements promql.QueryEngine: see Range.
func (e *Engine) NewRangeQuery(ctx context.Context, q promstorage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	p, err := e.Range(ctx, q, opts, qs, start, end, interval)
	if err != nil {
		return nil, err
	}
	return p, nil
}
