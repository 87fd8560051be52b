package query

import (
	"errors"
	"slices"

	"github.com/prometheus/prometheus/promql"

	"tsdb/storage"
)

// Bounds of what the cache is used for.
const (
	cachedSteps = 3 // fewer are evaluated as fast
	cachedRuns  = 3 // separate runs of steps that are evaluated for one answer
	nearSteps   = 8 // runs as near as this become one: to select series costs more than to evaluate steps
)

// lookup is a range query and what the cache knew of its answer before the query
// took its view.
type lookup struct {
	*planned
	cache   *answerCache
	key     answerKey
	reads   []read
	noTies  bool  // what is a matter of order is not kept
	settled int64 // what is read up to here can be kept; Unix milliseconds

	old  *extent // nil if there is none
	sums []hourSums
	hull grid // of the query and of old, whose hours sums cover
}

// lookUp asks the cache. It returns nil for a query whose answer is not kept. The
// clock and the counters must be read before the view is taken: see
// storage.Changes.
func (p *planned) lookUp() *lookup {
	l := &lookup{planned: p, cache: p.engine.answers}
	if l.cache == nil || p.uncached || p.grid.n < cachedSteps || p.settings.delayedNames || p.samples.EnablePerStepStats {
		return nil
	}
	src, ok := p.queryable.Queryable.(interface {
		counted() (*storage.Changes, uint32)
	})
	if !ok {
		return nil
	}
	r := readsOf(p.stmt.Expr, p.settings.lookback)
	if !r.ok || len(r.reads) == 0 {
		return nil
	}
	l.reads, l.noTies = r.reads, r.noTies
	changes, tenant := src.counted()
	l.key = answerKey{
		changes: changes, tenant: tenant, expr: p.stmt.Expr.String(),
		lookback: p.settings.lookback, step: p.grid.step, phase: p.grid.start % p.grid.step,
	}
	if l.key.phase < 0 {
		l.key.phase += l.key.step
	}
	l.hull = p.grid
	if l.old = l.cache.get(l.key); l.old != nil && !l.old.touches(p.grid) {
		l.old = nil
	}
	if l.old != nil {
		l.hull = p.grid.with(l.old.grid)
	}
	l.settled = changes.Settled()
	if l.sums, ok = sumsOf(changes, l.reads, l.hull); !ok {
		return nil
	}
	return l
}

// steps returns the steps that are told apart, for those that are kept: none if
// there is no lookup.
func (l *lookup) steps() grid {
	if l == nil {
		return grid{}
	}
	return l.hull
}

// touches reports whether two grids of a step and phase overlap or follow each
// other.
func (g grid) touches(o grid) bool {
	return g.start <= o.last()+o.step && o.start <= g.last()+g.step
}

// with returns the times of two such grids and all between.
func (g grid) with(o grid) grid {
	start, last := min(g.start, o.start), max(g.last(), o.last())
	return grid{start: start, step: g.step, n: int((last-start)/g.step) + 1}
}

// sub returns the steps from ≤ i < to of a grid.
func (g grid) sub(from, to int) grid { return grid{start: g.at(from), step: g.step, n: to - from} }

// steps are the steps from ≤ i < to of a grid.
type steps struct{ from, to int }

func (s steps) len() int { return s.to - s.from }

// answer returns the answer of the query: steps that were kept, and the others
// evaluated. What can be kept of it is.
func (l *lookup) answer(f *frame) (promql.Matrix, error) {
	usable, at := l.usable()
	runs := toEvaluate(usable[at : at+l.grid.n])
	if len(runs) == 0 {
		l.count(cacheHit, runs)
		m := clip(l.old.series, l.grid.start, l.grid.last())
		if err := f.nonCounters.recall(l.old.named, l.grid); err != nil {
			return nil, err
		}
		return m, l.take(f, len(m), m.TotalSamples())
	}
	if runs[0].len() == l.grid.n {
		l.count(cacheMiss, runs)
		n, err := l.node, error(nil)
		if l.hull != l.grid {
			n, err = planPart(&l.settings, l.stmt.Expr, l.grid, l.hull)
		}
		if err != nil {
			return nil, err
		}
		m, err := l.matrix(f, n, l.grid)
		if err != nil || !l.quiet(f) {
			return m, err
		}
		return l.together(f, usable, at, runs, []piece{{m, l.grid.start, l.grid.last()}})
	}
	made, err := l.parts(f, runs)
	if err != nil {
		return nil, err
	}
	l.count(cachePartial, runs)
	return l.together(f, usable, at, runs, made)
}

// count notes how much of the query came from the cache: all but the runs.
func (l *lookup) count(result string, runs []steps) {
	l.cache.requests.WithLabelValues(result).Inc()
	l.fromCache = l.grid.n
	for _, r := range runs {
		l.fromCache -= r.len()
	}
}

// take counts series, whose labels are the cache's, and points that are in memory
// for the answer.
func (l *lookup) take(f *frame, series, points int) error {
	if err := f.hold(points); err != nil {
		return err
	}
	return f.mem.take(int64(series)*columnBytes + pointBytes*int64(points))
}

// usable returns which steps of the hull were kept and still hold, and where the
// query begins among them.
func (l *lookup) usable() (usable []bool, at int) {
	usable = make([]bool, l.hull.n)
	if l.old != nil {
		ok, spoiled := l.old.valid(l.reads, l.sums)
		copy(usable[(l.old.start-l.hull.start)/l.hull.step:], ok)
		l.cache.spoiled.Add(float64(spoiled))
	}
	return usable, int((l.grid.start - l.hull.start) / l.hull.step)
}

// toEvaluate returns the runs of steps to evaluate, given which can be used. A
// run takes the step before it and the one after it along, so that what lies
// between two steps is looked at together, and warns if it cannot be read.
func toEvaluate(usable []bool) []steps {
	var runs []steps
	for i, ok := range usable {
		if ok {
			continue
		}
		r := steps{max(i-1, 0), min(i+2, len(usable))}
		if k := len(runs) - 1; k >= 0 && r.from-runs[k].to < nearSteps {
			runs[k].to = r.to
		} else {
			runs = append(runs, r)
		}
	}
	if n := len(runs); n > cachedRuns {
		return []steps{{runs[0].from, runs[n-1].to}}
	}
	return runs
}

// parts evaluates runs of steps. The error is errParts if that gives rise to an
// error or a warning, in which other steps may have a say, or reads histograms,
// whose hints may depend on samples before the first step.
func (l *lookup) parts(f *frame, runs []steps) ([]piece, error) {
	var made []piece
	for _, r := range runs {
		g := l.grid.sub(r.from, r.to)
		n, err := planPart(&l.settings, l.stmt.Expr, g, l.hull)
		var m promql.Matrix
		if err == nil {
			m, err = l.matrix(f, n, g)
		}
		switch {
		case f.ended.Load():
			return nil, f.check()
		case errors.Is(err, errHeavy):
			return nil, err
		case err != nil, !l.quiet(f):
			l.cache.drop(l.key)
			return nil, errParts
		}
		made = append(made, piece{m, g.start, g.last()})
	}
	return made, nil
}

// quiet reports whether a run has nothing to say of its answer but what can be
// said of steps, has read floats only, and took none of equal values at random.
func (l *lookup) quiet(f *frame) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.annos.all) == 0 && !f.nonCounters.timeless() && f.querier.plain() && !(l.noTies && f.querier.tied.Load())
}

// together puts what was made of the runs and what was kept together, keeps it,
// and returns the query's part of it.
func (l *lookup) together(f *frame, usable []bool, at int, runs []steps, made []piece) (promql.Matrix, error) {
	all := l.around(usable, at)
	var pieces []piece
	next, evaluated := all.from, 0
	kept := func(to int) error {
		if next >= to {
			return nil
		}
		pieces = append(pieces, piece{l.old.series, l.hull.at(next), l.hull.at(to - 1)})
		return f.nonCounters.recall(l.old.named, l.hull.sub(next, to))
	}
	for k, r := range runs {
		if err := kept(at + r.from); err != nil {
			return nil, err
		}
		pieces = append(pieces, made[k])
		evaluated += made[k].series.TotalSamples()
		next = at + r.to
	}
	if err := kept(all.to); err != nil {
		return nil, err
	}
	m := joinPieces(pieces)
	if err := l.take(f, len(m), max(m.TotalSamples()-evaluated, 0)); err != nil {
		return nil, err
	}
	if !l.keep(f, m, l.hull.sub(all.from, all.to)) {
		l.keep(f, m, l.grid)
	}
	return clip(m, l.grid.start, l.grid.last()), nil
}

// around returns the steps of the hull that are kept from now on: those of the
// query, and usable ones before and after it, so that a query of the last hour
// and one of the last day do not take each other's answers away. There are no
// more of them than there were, or than are asked for.
func (l *lookup) around(usable []bool, at int) steps {
	s := steps{at, at + l.grid.n}
	if l.old == nil {
		return s
	}
	for s.from > 0 && usable[s.from-1] {
		s.from--
	}
	for s.to < len(usable) && usable[s.to] {
		s.to++
	}
	if over := s.len() - max(2*l.grid.n, l.old.n); over > 0 {
		d := min(over, at-s.from)
		s.from += d
		s.to -= over - d
	}
	return s
}

// keep offers the cache the steps of an answer that are settled. It reports false
// if they are too many bytes.
func (l *lookup) keep(f *frame, m promql.Matrix, g grid) bool {
	for i := range l.reads {
		g.n = min(g.n, l.reads[i].settled(g, l.settled))
	}
	if g.n == 0 {
		return true
	}
	e := &extent{grid: g, series: clip(m, g.start, g.last()), named: f.nonCounters.within(g)}
	for k := range l.reads {
		first, last := l.reads[k].hours(g)
		all := l.sums[k]
		e.sums = append(e.sums, hourSums{first, slices.Clone(all.sums[first-all.first : last+1-all.first])})
	}
	return l.cache.put(l.key, e)
}
