package source

import (
	"context"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// ExemplarQuerier returns a reader of exemplars. ctx bounds its reads.
func (q *Queryable) ExemplarQuerier(ctx context.Context) (promstorage.ExemplarQuerier, error) {
	return exemplarQuerier{ctx: ctx, q: q}, nil
}

// exemplarQuerier stores the context because Select has no parameter for it.
type exemplarQuerier struct {
	ctx context.Context
	q   *Queryable
}

// Select returns the exemplars from start to end, both inclusive, in Unix
// milliseconds, of the series that match all matchers of any set, sorted by
// labels.
func (e exemplarQuerier) Select(start, end int64, sets ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	results, _, err := e.q.Exemplars(e.ctx, start, end, sets...)
	return results, err
}

// Exemplars is like the Select of an ExemplarQuerier, but also returns warnings about
// unreadable data.
func (q *Queryable) Exemplars(ctx context.Context, start, end int64, sets ...[]*labels.Matcher) ([]exemplar.QueryResult, annotations.Annotations, error) {
	v, err := q.src.View()
	if err != nil {
		return nil, nil, WrapError(err)
	}
	defer v.Release()
	found, warnings, err := v.Exemplars(ctx, q.tenant, inclusive(start, end), sets)
	if err != nil {
		return nil, nil, WrapError(err)
	}
	results := make([]exemplar.QueryResult, 0, len(found))
	for _, s := range found {
		r := exemplar.QueryResult{SeriesLabels: s.Labels, Exemplars: make([]exemplar.Exemplar, len(s.Exemplars))}
		for i, x := range s.Exemplars {
			r.Exemplars[i] = exemplar.Exemplar{Labels: x.Labels, Value: x.V, Ts: x.T, HasTs: true}
		}
		results = append(results, r)
	}
	return results, annotate(warnings), nil
}
