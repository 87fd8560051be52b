package query

import (
	"sync"

	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// witness remembers the queriers that one query opened. The engine asks a
// series set for its warnings before it reads the first sample; damage shows
// when samples are read, so the queriers are asked again when the query is over.
type witness struct {
	promstorage.Queryable

	mu       sync.Mutex
	queriers []lateWarner
	mem      *tracker    // counts what they select; nil = nothing does
	made     *madeLabels // asks what is made of it on Prometheus' engine
}

// track makes the queriers opened from now on count what they select.
func (w *witness) track(t *tracker, made *madeLabels) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mem, w.made = t, made
}

// lateWarner is a querier that knows more warnings after it was closed than
// its series sets told.
type lateWarner interface {
	lateWarnings() annotations.Annotations
}

func (w *witness) Querier(mint, maxt int64) (promstorage.Querier, error) {
	q, err := w.Queryable.Querier(mint, maxt)
	if ours, ok := q.(*querier); ok && err == nil {
		ours.recovers = true
		w.mu.Lock()
		ours.made = w.made
		ours.setMemory(w.mem)
		w.queriers = append(w.queriers, ours)
		w.mu.Unlock()
	}
	return q, err
}

func (w *witness) lateWarnings() annotations.Annotations {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all annotations.Annotations
	for _, q := range w.queriers {
		all.Merge(q.lateWarnings())
	}
	return all
}
