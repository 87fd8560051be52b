package resultcache

import (
	"errors"
	"slices"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
	"tsdb/query/noncounter"
	"tsdb/query/steps"
	"tsdb/storage"
)

// Bounds of the use of the cache.
const (
	minSteps  = 3 // queries of fewer steps are not looked up
	maxSpans  = 3 // spans of steps that are evaluated for one answer
	nearSteps = 8 // spans at most this far apart become one: selecting series costs more than evaluating steps
)

// Evaluator evaluates a query on parts of its grid.
type Evaluator interface {
	// Evaluate returns the answer on part. The functions of ranges look at the
	// series of whole.
	Evaluate(part, whole steps.Grid) (promql.Matrix, error)
	// Interrupted returns the error that ends the query, if there is one.
	Interrupted() error
	// IsQuiet reports whether the evaluation so far has added no annotation except
	// those that are known by step, has read floats only and, with noTies, has
	// broken no tie between equal values.
	IsQuiet(noTies bool) bool
	// Reserve counts series, whose labels are in the cache, and points that are in
	// memory for the answer.
	Reserve(series, points int) error
	// NonCounters returns the metrics in rates that are not counters.
	NonCounters() *noncounter.Set
}

// Lookup is a range query and the part of its answer that was in the cache before
// the query opened its view. A nil lookup is that of a query whose answer is not kept.
type Lookup struct {
	cache   *Cache
	key     answerKey
	grid    steps.Grid
	reads   []readRange
	noTies  bool  // an answer in which a tie was broken is not kept
	settled int64 // an answer is kept if it reads nothing later; Unix milliseconds

	old    *extent // nil if there is none
	sums   []hourSums
	hull   steps.Grid // of the query and of old, whose hours sums cover
	cached int        // steps of the answer that came from the cache
}

// LookUp looks a range query up. It returns nil if its answer is not kept. The
// clock and the counters must be read before the view is opened: see
// storage.Changes.
func (c *Cache) LookUp(changes *storage.Changes, tenant uint32, expr parser.Expr, lookback int64, g steps.Grid) *Lookup {
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
		lookback: lookback, step: g.Step, phase: g.Start % g.Step,
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

// CachedSteps returns the number of steps of the answer that came from the cache.
func (l *Lookup) CachedSteps() int { return l.cached }

// Steps returns the grid on which an evaluation records the steps of non-counters:
// an empty one if there is no lookup.
func (l *Lookup) Steps() steps.Grid {
	if l == nil {
		return steps.Grid{}
	}
	return l.hull
}

// stepRange is the steps from ≤ i < to of a grid.
type stepRange struct{ from, to int }

func (s stepRange) len() int { return s.to - s.from }

// Answer returns the answer of the query: cached steps, and the others evaluated.
// It keeps the part of the answer that is settled. The error is errIndivisible if
// the query must be evaluated without the cache.
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
		return l.together(e, usable, at, runs, []cachedSpan{{m, l.grid.Start, l.grid.Last()}})
	}
	made, err := l.parts(e, runs)
	if err != nil {
		return nil, err
	}
	l.count(cachePartial, runs)
	return l.together(e, usable, at, runs, made)
}

// count counts the query by how much of it came from the cache: all but the runs.
func (l *Lookup) count(result string, runs []stepRange) {
	l.cache.requests.WithLabelValues(result).Inc()
	l.cached = l.grid.N
	for _, r := range runs {
		l.cached -= r.len()
	}
}

// usable returns, for each step of the hull, whether the cached value is still
// valid, and the index of the query's first step in the hull.
func (l *Lookup) usable() (usable []bool, at int) {
	usable = make([]bool, l.hull.N)
	if l.old != nil {
		ok, spoiled := l.old.valid(l.reads, l.sums)
		copy(usable[(l.old.Start-l.hull.Start)/l.hull.Step:], ok)
		l.cache.spoiled.Add(float64(spoiled))
	}
	return usable, int((l.grid.Start - l.hull.Start) / l.hull.Step)
}

// toEvaluate returns the spans of steps to evaluate, given those that can be used.
// A span includes the steps before and after it, so that samples between two steps
// are read together, and damage among them adds its warning.
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

// parts evaluates runs of steps. The error is errIndivisible if that raises an
// error or a warning, which may depend on other steps, or reads histograms, whose
// hints may depend on samples before the first step.
func (l *Lookup) parts(e Evaluator, runs []stepRange) ([]cachedSpan, error) {
	var made []cachedSpan
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
		made = append(made, cachedSpan{m, g.Start, g.Last()})
	}
	return made, nil
}

// together joins evaluated and cached spans, keeps the result, and returns the
// query's part of it.
func (l *Lookup) together(e Evaluator, usable []bool, at int, runs []stepRange, made []cachedSpan) (promql.Matrix, error) {
	all := l.around(usable, at)
	var spans []cachedSpan
	next, evaluated := all.from, 0
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
		spans = append(spans, made[k])
		evaluated += made[k].series.TotalSamples()
		next = at + r.to
	}
	if err := kept(all.to); err != nil {
		return nil, err
	}
	m := joinSpans(spans)
	if err := e.Reserve(len(m), max(m.TotalSamples()-evaluated, 0)); err != nil {
		return nil, err
	}
	if !l.keep(e, m, l.hull.Slice(all.from, all.to)) {
		l.keep(e, m, l.grid)
	}
	return clip(m, l.grid.Start, l.grid.Last()), nil
}

// around returns the steps of the hull to keep: those of the query, and usable ones
// before and after it, so that a query of the last hour and one of the last day do
// not evict each other's answers. They are at most twice those of the query, or as
// many as were kept before.
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

// keep offers the settled steps of an answer to the cache. It reports false if they
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
