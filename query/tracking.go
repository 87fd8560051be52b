package query

import (
	"sync"

	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/storage"
)

// tracking is the Queryable of one query. It remembers the queriers that the query
// opens: Prometheus' engine asks a series set for its warnings before it reads the
// first sample, but damage shows while samples are read, so the queriers are asked
// again when the query is over. It is safe for concurrent use.
type tracking struct {
	queryable promstorage.Queryable

	mu struct {
		sync.Mutex
		queriers []*querier
		mem      *tracker                       // counts what they select; nil = nothing does
		selected func(*storage.SeriesSet) error // is called with each selection; nil = not
	}
}

func track(q promstorage.Queryable) *tracking { return &tracking{queryable: q} }

// count makes the queriers opened from now on count what they select in mem, and
// call selected, unless it is nil, with each selection. Its error ends the query.
func (t *tracking) count(mem *tracker, selected func(*storage.SeriesSet) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.mem, t.mu.selected = mem, selected
}

// changes returns the change counters of the database and the tenant. It reports
// false if the Queryable is not one of this package.
func (t *tracking) changes() (*storage.Changes, uint32, bool) {
	own, ok := t.queryable.(interface {
		counted() (*storage.Changes, uint32)
	})
	if !ok {
		return nil, 0, false
	}
	c, tenant := own.counted()
	return c, tenant, true
}

// Querier opens a querier for Prometheus' engine.
func (t *tracking) Querier(mint, maxt int64) (promstorage.Querier, error) {
	q, own, err := t.track(mint, maxt)
	if own != nil {
		own.recovers = true
	}
	return q, err
}

// open opens a querier for our own engine. It returns nil if the Queryable is not
// one of this package.
func (t *tracking) open(mint, maxt int64) (*querier, error) {
	q, own, err := t.track(mint, maxt)
	if err == nil && own == nil {
		err = q.Close()
	}
	return own, err
}

func (t *tracking) track(mint, maxt int64) (promstorage.Querier, *querier, error) {
	q, err := t.queryable.Querier(mint, maxt)
	if err != nil {
		return nil, nil, err
	}
	own, ok := q.(*querier)
	if !ok {
		return q, nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	own.onSelect = t.mu.selected
	own.setMemory(t.mu.mem)
	t.mu.queriers = append(t.mu.queriers, own)
	return q, own, nil
}

// lateWarnings returns the warnings that came up until the queriers were closed.
func (t *tracking) lateWarnings() annotations.Annotations {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all annotations.Annotations
	for _, q := range t.mu.queriers {
		all.Merge(q.lateWarnings())
	}
	return all
}
