package storage_test

import (
	"context"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
)

// modelQueryable lets Prometheus' engine read a model, with expired samples or without.
type modelQueryable struct {
	m    *lifeModel
	ever bool
}

func (q modelQueryable) Querier(mint, maxt int64) (promstorage.Querier, error) {
	return modelQuerier{q, mint, maxt}, nil
}

type modelQuerier struct {
	modelQueryable
	mint, maxt int64
}

func (q modelQuerier) Select(_ context.Context, _ bool, _ *promstorage.SelectHints, ms ...*labels.Matcher) promstorage.SeriesSet {
	var list []promstorage.Series
	for _, i := range lifeOrder {
		if !matchesAll(ms, lifeLabels[i]) {
			continue
		}
		s := &q.m.series[i].samples
		if q.ever {
			s = q.m.series[i].ever()
		}
		lo := s.Search(q.mint)
		var samples []chunks.Sample
		for k := lo; k < s.Len() && s.T[k] <= q.maxt; k++ {
			samples = append(samples, modelSample{s, k})
		}
		if len(samples) > 0 {
			list = append(list, promstorage.NewListSeries(lifeLabels[i], samples))
		}
	}
	return &listSet{list: list}
}

func (q modelQuerier) LabelValues(context.Context, string, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (q modelQuerier) LabelNames(context.Context, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (q modelQuerier) Close() error { return nil }

type listSet struct {
	list []promstorage.Series
	at   int
}

func (s *listSet) Next() bool                        { s.at++; return s.at <= len(s.list) }
func (s *listSet) At() promstorage.Series            { return s.list[s.at-1] }
func (s *listSet) Err() error                        { return nil }
func (s *listSet) Warnings() annotations.Annotations { return nil }

// modelSample is a sample of a model.
type modelSample struct {
	s *model.Samples
	i int
}

func (s modelSample) T() int64                { return s.s.T[s.i] }
func (s modelSample) ST() int64               { return s.s.StartAt(s.i) }
func (s modelSample) F() float64              { return s.s.V[s.i] }
func (s modelSample) H() *histogram.Histogram { return s.s.HistogramAt(s.i).Int }
func (s modelSample) Copy() chunks.Sample     { return s }

func (s modelSample) FH() *histogram.FloatHistogram {
	if h := s.H(); h != nil {
		return h.ToFloat(nil)
	}
	return nil
}

func (s modelSample) Type() chunkenc.ValueType {
	if s.H() != nil {
		return chunkenc.ValHistogram
	}
	return chunkenc.ValFloat
}
