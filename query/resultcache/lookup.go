package resultcache

import (
	"errors"
	"slices"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
	"tsdb/query/noncounter"
	"tsdb/query/steps"
	"tsdb/query/tiers"
	"tsdb/storage"
)

// Limits on the use of the cache.
const (
	minSteps  = 3 // queries with fewer steps are not looked up
	maxSpans  = 3 // maximum number of spans of steps evaluated for one answer
	nearSteps = 8 // spans fewer than nearSteps apart are merged: selecting series costs more than evaluating steps
)

// Evaluator evaluates a query on parts of its grid.
type Evaluator interface {
	// Evaluate returns the answer on part. Range functions select the series of
	// whole.
	Evaluate(part, whole steps.Grid) (promql.Matrix, error)
	// Interrupted returns the error that ends the query, or nil.
	Interrupted() error
	// IsQuiet reports whether the evaluation so far has added no annotations except
	// those recorded by step, has read only floats and, if noTies is set, has broken
	// no tie between equal values.
	IsQuiet(noTies bool) bool
	// Reserve charges the answer's series, excluding labels, which are in the cache,
	// and points.
	Reserve(series, points int) error
	// NonCounters returns the metrics in calls of rate and increase that are not
	// counters.
	NonCounters() *noncounter.Set
}

// Lookup is a range query and the part of its answer that was in the cache before
// the query opened its view. It is nil for a query whose answer is not cached.
type Lookup struct {
	cache   *Cache
	key     answerKey
	grid    steps.Grid
	reads   []readRange
	noTies  bool  // do not cache an answer in which a tie was broken
	settled int64 // only steps that read nothing later are cached; Unix milliseconds

	old    *extent // nil if there is none
	sums   []hourSums
	hull   steps.Grid // of the query and of old, whose hours sums cover
	cached int        // steps of the answer taken from the cache
}

// LookUp looks up a range query. It returns nil if its answer is not cached. It must
// be called before the view is opened: see storage.Changes.
func (c *Cache) LookUp(changes *storage.Changes, tenant uint32, expr parser.Expr, lookback int64, resolution tiers.Resolution, g steps.Grid) *Lookup {
	if c == nil || g.N < minSteps {
		return nil
	}
	r := analyze(expr, lookback)
	if !r.ok || len(r.reads) == 0 {
		return nil
	}
	l := &Lookup{cache: c, grid: g, reads: r.reads, noTies: r.noTies}
	l.key = answerKey{
		changes: changes, tenant: tenant, expr: expr.String(),
		lookback: lookback, resolution: resolution, step: g.Step, phase: g.Start % g.Step,
	}
	if l.key.phase < 0 {
		l.key.phase += l.key.step
	}
	l.hull = g
	if l.old = c.get(l.key); l.old != nil && !l.old.Touches(g) {
		l.old = nil
	}
	if l.old != nil {
		l.hull = g.Union(l.old.Grid)
	}
	l.settled = changes.Settled()
	var ok bool
	if l.sums, ok = sumsOf(changes, l.reads, l.hull); !ok {
		return nil
	}
	return l
}

// CachedSteps returns the number of steps of the answer taken from the cache.
func (l *Lookup) CachedSteps() int { return l.cached }

// Steps returns the grid on which an evaluation records the steps of non-counters.
// It is empty for a nil Lookup.
func (l *Lookup) Steps() steps.Grid {
	if l == nil {
		return steps.Grid{}
	}
	return l.hull
}

// stepRange is the range of steps from ≤ i < to of a grid.
type stepRange struct{ from, to int }

func (s stepRange) len() int { return s.to - s.from }

// Answer returns the answer of the query from cached steps and evaluates the others.
// It caches the settled part of the answer. It returns steps.ErrIndivisible if the
// query must be evaluated without the cache.
func (l *Lookup) Answer(e Evaluator) (promql.Matrix, error) {
	usable, at := l.usable()
	runs := toEvaluate(usable[at : at+l.grid.N])
	if len(runs) == 0 {
		l.count(cacheHit, runs)
		m := clip(l.old.series, l.grid.Start, l.grid.Last())
		if err := e.NonCounters().Restore(l.old.named, l.grid); err != nil {
			return nil, err
		}
		return m, e.Reserve(len(m), m.TotalSamples())
	}
	if runs[0].len() == l.grid.N {
		l.count(cacheMiss, runs)
		m, err := e.Evaluate(l.grid, l.hull)
		if err != nil || !e.IsQuiet(l.noTies) {
			return m, err
		}
		return l.join(e, usable, at, runs, []cachedSpan{{m, l.grid.Start, l.grid.Last()}})
	}
	evaluated, err := l.evaluate(e, runs)
	if err != nil {
		return nil, err
	}
	l.count(cachePartial, runs)
	return l.join(e, usable, at, runs, evaluated)
}

// count counts the result of the lookup and the steps taken from the cache: all
// except the evaluated runs.
func (l *Lookup) count(result string, runs []stepRange) {
	l.cache.requests.WithLabelValues(result).Inc()
	l.cached = l.grid.N
	for _, r := range runs {
		l.cached -= r.len()
	}
}

// usable returns, for each step of the hull, whether its cached value is still
// valid. at is the index of the query's first step in the hull.
func (l *Lookup) usable() (usable []bool, at int) {
	usable = make([]bool, l.hull.N)
	if l.old != nil {
		ok, spoiled := l.old.valid(l.reads, l.sums)
		copy(usable[(l.old.Start-l.hull.Start)/l.hull.Step:], ok)
		l.cache.spoiled.Add(float64(spoiled))
	}
	return usable, int((l.grid.Start - l.hull.Start) / l.hull.Step)
}

// toEvaluate returns the spans of steps to evaluate, given the usable ones. A span
// includes the steps before and after it, so that samples between two steps are read
// together and damage among them adds its warning.
func toEvaluate(usable []bool) []stepRange {
	var runs []stepRange
	for i, ok := range usable {
		if ok {
			continue
		}
		r := stepRange{max(i-1, 0), min(i+2, len(usable))}
		if k := len(runs) - 1; k >= 0 && r.from-runs[k].to < nearSteps {
			runs[k].to = r.to
		} else {
			runs = append(runs, r)
		}
	}
	if n := len(runs); n > maxSpans {
		return []stepRange{{runs[0].from, runs[n-1].to}}
	}
	return runs
}

// evaluate evaluates runs of steps. It returns steps.ErrIndivisible if the evaluation
// raises an error or a warning, which may depend on other steps, or reads
// histograms, whose hints may depend on samples before the first step.
func (l *Lookup) evaluate(e Evaluator, runs []stepRange) ([]cachedSpan, error) {
	var spans []cachedSpan
	for _, r := range runs {
		g := l.grid.Slice(r.from, r.to)
		m, err := e.Evaluate(g, l.hull)
		if end := e.Interrupted(); end != nil {
			return nil, end
		}
		switch {
		case errors.Is(err, admission.ErrPreempted):
			return nil, err
		case err != nil, !e.IsQuiet(l.noTies):
			l.cache.drop(l.key)
			return nil, steps.ErrIndivisible
		}
		spans = append(spans, cachedSpan{m, g.Start, g.Last()})
	}
	return spans, nil
}

// join joins evaluated and cached spans, caches the result, and returns the query's
// part of it.
func (l *Lookup) join(e Evaluator, usable []bool, at int, runs []stepRange, evaluated []cachedSpan) (promql.Matrix, error) {
	all := l.around(usable, at)
	var spans []cachedSpan
	next, reserved := all.from, 0
	kept := func(to int) error {
		if next >= to {
			return nil
		}
		spans = append(spans, cachedSpan{l.old.series, l.hull.At(next), l.hull.At(to - 1)})
		return e.NonCounters().Restore(l.old.named, l.hull.Slice(next, to))
	}
	for k, r := range runs {
		if err := kept(at + r.from); err != nil {
			return nil, err
		}
		spans = append(spans, evaluated[k])
		reserved += evaluated[k].series.TotalSamples()
		next = at + r.to
	}
	if err := kept(all.to); err != nil {
		return nil, err
	}
	m := joinSpans(spans)
	if err := e.Reserve(len(m), max(m.TotalSamples()-reserved, 0)); err != nil {
		return nil, err
	}
	if !l.keep(e, m, l.hull.Slice(all.from, all.to)) {
		l.keep(e, m, l.grid)
	}
	return clip(m, l.grid.Start, l.grid.Last()), nil
}

// around returns the steps of the hull to cache: those of the query, and usable ones
// before and after it, so that a query of the last hour and one of the last day do
// not evict each other's answers. Their number is at most twice that of the query's
// steps or the number cached before, whichever is larger.
func (l *Lookup) around(usable []bool, at int) stepRange {
	s := stepRange{at, at + l.grid.N}
	if l.old == nil {
		return s
	}
	for s.from > 0 && usable[s.from-1] {
		s.from--
	}
	for s.to < len(usable) && usable[s.to] {
		s.to++
	}
	if over := s.len() - max(2*l.grid.N, l.old.N); over > 0 {
		d := min(over, at-s.from)
		s.from += d
		s.to -= over - d
	}
	return s
}

// keep offers the settled steps of an answer to the cache. It returns false if they
// are too large.
func (l *Lookup) keep(e Evaluator, m promql.Matrix, g steps.Grid) bool {
	for i := range l.reads {
		g.N = min(g.N, l.reads[i].settled(g, l.settled))
	}
	if g.N == 0 {
		return true
	}
	x := &extent{Grid: g, series: clip(m, g.Start, g.Last()), named: e.NonCounters().Within(g)}
	for k := range l.reads {
		first, last := l.reads[k].hours(g)
		all := l.sums[k]
		x.sums = append(x.sums, hourSums{first, slices.Clone(all.sums[first-all.first : last+1-all.first])})
	}
	return l.cache.put(l.key, x)
}
