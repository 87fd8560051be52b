package query

import (
	"context"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
)

// ExemplarQuerier returns a reader of exemplars. ctx bounds its reads.
func (q *Queryable) ExemplarQuerier(ctx context.Context) (promstorage.ExemplarQuerier, error) {
	return exemplarQuerier{ctx: ctx, q: q}, nil
}

// exemplarQuerier keeps the context because the interface gives Select none.
type exemplarQuerier struct {
	ctx context.Context
	q   *Queryable
}

// Select returns the exemplars from start to end, both inclusive, in Unix
// milliseconds, of the series that match all matchers of any set, sorted by
// labels.
func (e exemplarQuerier) Select(start, end int64, sets ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	v, err := e.q.src.View()
	if err != nil {
		return nil, storageError(err)
	}
	defer v.Release()
	found, err := v.Exemplars(e.ctx, e.q.tenant, inclusive(start, end), sets)
	if err != nil {
		return nil, storageError(err)
	}
	results := make([]exemplar.QueryResult, 0, len(found))
	for _, s := range found {
		r := exemplar.QueryResult{SeriesLabels: s.Labels, Exemplars: make([]exemplar.Exemplar, len(s.Exemplars))}
		for i, x := range s.Exemplars {
			r.Exemplars[i] = exemplar.Exemplar{Labels: x.Labels, Value: x.V, Ts: x.T, HasTs: true}
		}
		results = append(results, r)
	}
	return results, nil
}
