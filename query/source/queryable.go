package source

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/query/admission"
	"tsdb/storage"
)

// Database is the part of *storage.DB, or of *storage.Past, that a Queryable reads.
type Database interface {
	// View pins a consistent view of the database. The caller releases it.
	View() (*storage.View, error)
	// Changes returns the change counters; nil = answers must not be cached.
	Changes() *storage.Changes
}

// Queryable exposes a database through Prometheus' interfaces for reading samples,
// labels and exemplars. It is safe for concurrent use.
type Queryable struct {
	src    Database
	tenant uint32
}

var (
	_ promstorage.Queryable         = (*Queryable)(nil)
	_ promstorage.ExemplarQueryable = (*Queryable)(nil)
)

// NewQueryable returns a Queryable over one tenant's series.
func NewQueryable(src Database, tenant uint32) *Queryable {
	return &Queryable{src: src, tenant: tenant}
}

// counted returns the change counters of the database and the tenant.
func (q *Queryable) counted() (*storage.Changes, uint32) { return q.src.Changes(), q.tenant }

// Querier pins a view for reading the times mint to maxt, both inclusive, in Unix
// milliseconds. Close releases it. Of the data read through the querier, only labels
// may be used afterwards.
func (q *Queryable) Querier(mint, maxt int64) (promstorage.Querier, error) {
	v, err := q.src.View()
	if err != nil {
		return nil, WrapError(err)
	}
	return &Querier{view: v, tenant: q.tenant, tr: inclusive(mint, maxt)}, nil
}

// inclusive returns the half-open range of the times from mint to maxt.
func inclusive(mint, maxt int64) model.TimeRange {
	return model.Inclusive(mint, maxt)
}

// Querier reads one view of the database.
type Querier struct {
	view   *storage.View
	hooks  storage.ReadOptions // of view
	tenant uint32
	tr     model.TimeRange

	recovers bool                           // the reader is Prometheus' engine, which recovers from panics with errors
	mem      *admission.Tracker             // of the query; nil = none
	onSelect func(*storage.SeriesSet) error // called with each selection; nil = not called

	mu struct {
		sync.Mutex
		selections []*selection
		tiered     []*TieredSet
		selecting  time.Duration           // time spent in Select so far
		late       annotations.Annotations // of all selections; set by Close
		closed     bool
	}
}

// SetMemory sets the tracker that counts the selected series; nil = none. Like
// SetYield it is called before the first Select.
func (q *Querier) SetMemory(t *admission.Tracker) {
	if q.mem = t; t != nil {
		q.hooks.Reserve = t.ReserveSeries
		q.view.SetReadOptions(q.hooks)
	}
}

// SetYield sets a function to be called regularly while series are selected and read.
func (q *Querier) SetYield(yield func() error) {
	q.hooks.Yield = yield
	q.view.SetReadOptions(q.hooks)
}

// selection is the result of one Select of a querier.
type selection struct {
	ctx     context.Context
	ended   atomic.Bool // ctx has ended; cheaper to load than ctx.Err
	unwatch func() bool
	set     *storage.SeriesSet
	tr      model.TimeRange

	histograms atomic.Bool // histograms were among the samples read

	recovers bool // as in Querier
}

// labelsOnly is the function in the hints of a Select whose series are listed but not
// read.
const labelsOnly = "series"

// Select returns the series that match all matchers, sorted by labels. The range in
// hints, if not nil, replaces the querier's.
func (q *Querier) Select(ctx context.Context, _ bool, hints *promstorage.SelectHints, ms ...*labels.Matcher) promstorage.SeriesSet {
	tr, limit := q.tr, 0
	if hints != nil {
		tr, limit = inclusive(hints.Start, hints.End), hints.Limit
	}
	if hints != nil && hints.Func == labelsOnly {
		return q.selectIn(ctx, q.view.ListSeries, tr, tr, limit, ms)
	}
	return q.SelectSamples(ctx, tr, tr, limit, ms)
}

// SelectSamples returns the series that may have samples in scope, for reading the
// samples in tr: at most limit of them, if that is not 0.
func (q *Querier) SelectSamples(ctx context.Context, scope, tr model.TimeRange, limit int, ms []*labels.Matcher) promstorage.SeriesSet {
	return q.selectIn(ctx, q.view.Select, withLead(scope), tr, limit, ms)
}

// finder is View.Select or View.ListSeries.
type finder func(ctx context.Context, tenant uint32, tr model.TimeRange, ms ...*labels.Matcher) (*storage.SeriesSet, error)

// selectIn is SelectSamples without extending scope by the lead.
func (q *Querier) selectIn(ctx context.Context, find finder, scope, tr model.TimeRange, limit int, ms []*labels.Matcher) promstorage.SeriesSet {
	s, err := q.selectCounted(ctx, find, scope, tr, ms, q.mem)
	if err != nil {
		return promstorage.ErrSeriesSet(err)
	}
	if limit > 0 {
		s.n = min(s.n, limit)
	}
	return s
}

// SelectAgain is SelectSamples for series that the query has selected before, from a
// tier. They are not counted again.
func (q *Querier) SelectAgain(ctx context.Context, scope, tr model.TimeRange, ms []*labels.Matcher) (*SeriesSet, error) {
	return q.selectCounted(ctx, q.view.Select, withLead(scope), tr, ms, nil)
}

// selectCounted selects series and counts them in mem, which may be nil.
func (q *Querier) selectCounted(ctx context.Context, find finder, scope, tr model.TimeRange, ms []*labels.Matcher, mem *admission.Tracker) (*SeriesSet, error) {
	began := time.Now()
	set, err := find(ctx, q.tenant, scope, ms...)
	took := time.Since(began)
	if err != nil {
		return nil, WrapError(err)
	}
	if err := mem.CountSeries(set.Len(), func(i int) labels.Labels { return set.At(i).Labels }); err != nil {
		return nil, err
	}
	if q.onSelect != nil {
		if err := q.onSelect(set); err != nil {
			return nil, err
		}
	}
	s := &selection{ctx: ctx, set: set, tr: tr, recovers: q.recovers}
	s.unwatch = context.AfterFunc(ctx, func() { s.ended.Store(true) })
	q.mu.Lock()
	q.mu.selecting += took
	q.mu.selections = append(q.mu.selections, s)
	q.mu.Unlock()
	return &SeriesSet{sel: s, n: set.Len(), i: -1}, nil
}

// SelectDuration returns the time spent selecting series so far.
func (q *Querier) SelectDuration() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.selecting
}

// LabelNames returns the sorted label names of the matching series.
func (q *Querier) LabelNames(ctx context.Context, hints *promstorage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names, warnings, err := q.view.LabelNames(ctx, q.tenant, q.tr, limitOf(hints), ms...)
	return names, annotate(warnings), WrapError(err)
}

// LabelValues returns the sorted values of a label in the matching series.
func (q *Querier) LabelValues(ctx context.Context, name string, hints *promstorage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	values, warnings, err := q.view.LabelValues(ctx, q.tenant, name, q.tr, limitOf(hints), ms...)
	return values, annotate(warnings), WrapError(err)
}

func limitOf(hints *promstorage.LabelHints) int {
	if hints == nil {
		return 0
	}
	return hints.Limit
}

// ReadFloatsOnly reports whether only floats have been read so far, without warnings.
func (q *Querier) ReadFloatsOnly() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !slices.ContainsFunc(q.mu.selections, func(s *selection) bool {
		return s.histograms.Load() || len(s.set.Warnings()) > 0
	}) && !slices.ContainsFunc(q.mu.tiered, func(s *TieredSet) bool { return len(s.set.Warnings()) > 0 })
}

// Close releases the view. Further calls do nothing.
func (q *Querier) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return nil
	}
	q.mu.closed = true
	for _, s := range q.mu.selections {
		s.unwatch()
		q.mu.late.Merge(annotate(s.set.Warnings()))
	}
	for _, s := range q.mu.tiered {
		s.unwatch()
		q.mu.late.Merge(s.Warnings())
	}
	q.mu.selections, q.mu.tiered = nil, nil
	q.view.Release()
	return nil
}

// lateWarnings returns the warnings added until Close.
func (q *Querier) lateWarnings() annotations.Annotations {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.late
}

func annotate(warnings []error) annotations.Annotations {
	var a annotations.Annotations
	for _, w := range warnings {
		a.Add(w)
	}
	return a
}
