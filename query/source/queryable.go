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

// Database is the part of *storage.DB that a Queryable reads.
type Database interface {
	// View pins a consistent view of the database. The caller releases it.
	View() (*storage.View, error)
	// Changes returns the counters of changes in the past.
	Changes() *storage.Changes
}

// Queryable shows a database through Prometheus' interfaces for readers of
// samples, labels and exemplars. It is safe for concurrent use.
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

// counted returns the change counters of the database, and the tenant.
func (q *Queryable) counted() (*storage.Changes, uint32) { return q.src.Changes(), q.tenant }

// Querier pins a view for reading the times mint to maxt, both inclusive, in
// Unix milliseconds. Close releases it; nothing read through the querier may
// be used afterwards, except labels.
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

// Querier reads one view.
type Querier struct {
	view   *storage.View
	hooks  storage.ReadOptions // of view
	tenant uint32
	tr     model.TimeRange

	recovers bool                           // the reader is Prometheus' engine, which recovers from panics with errors
	mem      *admission.Tracker             // of the query that reads; nil = none
	onSelect func(*storage.SeriesSet) error // is called with each selection; nil = not

	mu struct {
		sync.Mutex
		selections []*selection
		selecting  time.Duration           // time that Select took so far
		late       annotations.Annotations // of all selections, once closed
		closed     bool
	}
}

// SetMemory makes series that are selected count for the memory of a query; nil =
// of none. Like setYield it is called before the first Select.
func (q *Querier) SetMemory(t *admission.Tracker) {
	if q.mem = t; t != nil {
		q.hooks.Reserve = t.ReserveSeries
		q.view.SetReadOptions(q.hooks)
	}
}

// SetYield makes selecting and reading series call yield regularly.
func (q *Querier) SetYield(yield func() error) {
	q.hooks.Yield = yield
	q.view.SetReadOptions(q.hooks)
}

// selection is one Select of a querier, for reading its series.
type selection struct {
	ctx     context.Context
	ended   atomic.Bool // ctx is over; cheaper to load than ctx.Err
	unwatch func() bool
	set     *storage.SeriesSet
	tr      model.TimeRange

	histograms atomic.Bool // histograms were among the samples read

	recovers bool // as the querier's
}

// labelsOnly is the function in the hints of a Select whose series are listed
// and not read.
const labelsOnly = "series"

// Select returns the series that match all matchers, sorted by labels. The
// range of the hints, if there are any, replaces the querier's.
func (q *Querier) Select(ctx context.Context, _ bool, hints *promstorage.SelectHints, ms ...*labels.Matcher) promstorage.SeriesSet {
	tr, limit := q.tr, 0
	if hints != nil {
		tr, limit = inclusive(hints.Start, hints.End), hints.Limit
	}
	if hints != nil && hints.Func == labelsOnly {
		return q.selectIn(ctx, tr, tr, limit, ms)
	}
	return q.SelectSamples(ctx, tr, tr, limit, ms)
}

// SelectSamples returns the series, at most limit if that is not 0, that may have
// samples in look, for reading the samples in tr.
func (q *Querier) SelectSamples(ctx context.Context, look, tr model.TimeRange, limit int, ms []*labels.Matcher) promstorage.SeriesSet {
	return q.selectIn(ctx, withLead(look), tr, limit, ms)
}

// selectIn returns the series, at most limit if that is not 0, that may have
// samples in look, for reading those in tr.
func (q *Querier) selectIn(ctx context.Context, look, tr model.TimeRange, limit int, ms []*labels.Matcher) promstorage.SeriesSet {
	began := time.Now()
	set, err := q.view.Select(ctx, q.tenant, look, ms...)
	took := time.Since(began)
	if err != nil {
		return promstorage.ErrSeriesSet(WrapError(err))
	}
	if err := q.mem.CountSeries(set.Len(), func(i int) labels.Labels { return set.At(i).Labels }); err != nil {
		return promstorage.ErrSeriesSet(err)
	}
	if q.onSelect != nil {
		if err := q.onSelect(set); err != nil {
			return promstorage.ErrSeriesSet(err)
		}
	}
	s := &selection{ctx: ctx, set: set, tr: tr, recovers: q.recovers}
	s.unwatch = context.AfterFunc(ctx, func() { s.ended.Store(true) })
	q.mu.Lock()
	q.mu.selecting += took
	q.mu.selections = append(q.mu.selections, s)
	q.mu.Unlock()
	n := set.Len()
	if limit > 0 {
		n = min(n, limit)
	}
	return &SeriesSet{sel: s, n: n, i: -1}
}

// SelectDuration returns the time that selecting series took so far.
func (q *Querier) SelectDuration() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.selecting
}

// LabelNames returns the sorted names of the labels of the series that match.
func (q *Querier) LabelNames(ctx context.Context, hints *promstorage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names, warnings, err := q.view.LabelNames(ctx, q.tenant, q.tr, limitOf(hints), ms...)
	return names, annotate(warnings), WrapError(err)
}

// LabelValues returns the sorted values of a label of the series that match.
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

// ReadFloatsOnly reports whether only floats were read so far, without a warning.
func (q *Querier) ReadFloatsOnly() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !slices.ContainsFunc(q.mu.selections, func(s *selection) bool {
		return s.histograms.Load() || len(s.set.Warnings()) > 0
	})
}

// Close releases the view. A second Close does nothing.
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
	q.mu.selections = nil
	q.view.Release()
	return nil
}

// lateWarnings returns the warnings that came up until Close.
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
