package source

import (
	"sync"

	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/query/admission"
	"tsdb/storage"
)

// Tracking is the Queryable of one query. It keeps track of the queriers that the
// query opens, to collect their late warnings: Prometheus' engine requests the
// warnings of a series set before it reads the first sample, but damage is detected
// only when samples are read. It is safe for concurrent use.
type Tracking struct {
	queryable promstorage.Queryable

	mu struct {
		sync.Mutex
		queriers []*Querier
		mem      *admission.Tracker             // counts the selected series; nil = none
		selected func(*storage.SeriesSet) error // called with each selection; nil = not called
	}
}

func Track(q promstorage.Queryable) *Tracking { return &Tracking{queryable: q} }

// SetMemory makes queriers opened from now on count their series in mem and call
// selected, if not nil, with each selection. An error of selected ends the query.
func (t *Tracking) SetMemory(mem *admission.Tracker, selected func(*storage.SeriesSet) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.mem, t.mu.selected = mem, selected
}

// Changes returns the change counters of the database and the tenant. It returns
// false if the Queryable is not one of this package, or its database counts none.
func (t *Tracking) Changes() (*storage.Changes, uint32, bool) {
	own, ok := t.queryable.(interface {
		counted() (*storage.Changes, uint32)
	})
	if !ok {
		return nil, 0, false
	}
	c, tenant := own.counted()
	return c, tenant, c != nil
}

// Querier opens a querier for Prometheus' engine.
func (t *Tracking) Querier(mint, maxt int64) (promstorage.Querier, error) {
	q, own, err := t.track(mint, maxt)
	if own != nil {
		own.recovers = true
	}
	return q, err
}

// Open opens a querier for our own engine. It returns nil if the Queryable is not
// one of this package.
func (t *Tracking) Open(mint, maxt int64) (*Querier, error) {
	q, own, err := t.track(mint, maxt)
	if err == nil && own == nil {
		err = q.Close()
	}
	return own, err
}

func (t *Tracking) track(mint, maxt int64) (promstorage.Querier, *Querier, error) {
	q, err := t.queryable.Querier(mint, maxt)
	if err != nil {
		return nil, nil, err
	}
	own, ok := q.(*Querier)
	if !ok {
		return q, nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	own.onSelect = t.mu.selected
	own.SetMemory(t.mu.mem)
	t.mu.queriers = append(t.mu.queriers, own)
	return q, own, nil
}

// LateWarnings returns the warnings added until the queriers were closed.
func (t *Tracking) LateWarnings() annotations.Annotations {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all annotations.Annotations
	for _, q := range t.mu.queriers {
		all.Merge(q.lateWarnings())
	}
	return all
}
