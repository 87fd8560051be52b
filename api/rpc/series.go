package rpc

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
	"tsdb/storage"
)

// Series sends the raw samples of the selected series.
func (s *Service) Series(r *tsdbv1.SeriesRequest, to grpc.ServerStreamingServer[tsdbv1.SeriesResponse]) error {
	return statusOf(s.series(r, to), false)
}

func (s *Service) series(r *tsdbv1.SeriesRequest, to grpc.ServerStreamingServer[tsdbv1.SeriesResponse]) error {
	begin := time.Now()
	if len(r.Selectors) == 0 {
		return invalid(errors.New("no selector"))
	}
	sets, err := s.selectors(r.Selectors)
	if err != nil {
		return err
	}
	ctx := to.Context()
	view, release, err := s.view(ctx)
	if err != nil {
		return err
	}
	defer release()
	tr := inclusive(r.StartMs, r.EndMs)
	find := view.ListSeries
	if !r.LabelsOnly {
		find, tr.Min = view.Select, max(tr.Min, view.RawFloor())
	}
	held := s.opts.Engine.Charge()
	defer held.Close()
	found, err := selectAll(ctx, held, view, find, tr, sets)
	if err != nil {
		return err
	}
	names := &seriesBatches{send: func(b *tsdbv1.SeriesBatch) error {
		return to.Send(&tsdbv1.SeriesResponse{Frame: &tsdbv1.SeriesResponse_Series{Series: b}})
	}}
	for _, one := range found.series {
		if err := names.add(one.Labels); err != nil {
			return err
		}
	}
	if err := names.flush(); err != nil {
		return err
	}
	samples := newSampleBatches(func(b *tsdbv1.SampleBatch) error {
		return to.Send(&tsdbv1.SeriesResponse{Frame: &tsdbv1.SeriesResponse_Samples{Samples: b}})
	})
	if !r.LabelsOnly {
		if err := found.read(ctx, tr, samples); err != nil {
			return err
		}
	}
	return to.Send(&tsdbv1.SeriesResponse{Frame: &tsdbv1.SeriesResponse_End{End: &tsdbv1.QueryEnd{
		Warnings: found.warnings(),
		Stats:    &tsdbv1.QueryStats{Series: uint64(len(found.series)), Samples: samples.samples, TotalSeconds: time.Since(begin).Seconds()},
	}}})
}

// selection is the union of the series of several selectors, sorted by labels.
type selection struct {
	sets   []*storage.SeriesSet
	series []*storage.Series
}

// finder is View.Select or View.ListSeries.
type finder func(ctx context.Context, tenant uint32, tr model.TimeRange, ms ...*labels.Matcher) (*storage.SeriesSet, error)

func selectAll(ctx context.Context, held *query.Charge, v *storage.View, find finder, tr model.TimeRange, selectors [][]*labels.Matcher) (*selection, error) {
	held.View(v)
	all := &selection{}
	for _, ms := range selectors {
		set, err := find(ctx, model.DefaultTenant, tr, ms...)
		if err == nil {
			err = held.Series(set)
		}
		if err != nil {
			return nil, err
		}
		all.sets = append(all.sets, set)
		for i := range set.Len() {
			all.series = append(all.series, set.At(i))
		}
	}
	if len(selectors) > 1 {
		slices.SortStableFunc(all.series, func(a, b *storage.Series) int { return labels.Compare(a.Labels, b.Labels) })
		all.series = slices.CompactFunc(all.series, func(a, b *storage.Series) bool { return a.ID == b.ID })
	}
	return all, nil
}

// warnings names the blocks that could not be read.
func (a *selection) warnings() []string {
	var texts []string
	for _, set := range a.sets {
		for _, w := range set.Warnings() {
			if len(texts) == maxAnnotations {
				return texts
			}
			texts = append(texts, valid([]string{w.Error()})...)
		}
	}
	return texts
}

// Samples are read in time spans, so that a series of years takes no more memory
// than one of days. The span doubles while it has fewer than fewSamples samples
// and halves when it has more than manySamples.
const (
	firstSpanMs = 7 * 24 * 60 * model.MinuteMs
	minSpanMs   = 60 * model.MinuteMs
	fewSamples  = 1 << 15
	manySamples = 1 << 18
)

// read sends the samples of the time range.
func (a *selection) read(ctx context.Context, tr model.TimeRange, to *sampleBatches) error {
	var part model.Samples
	for i, s := range a.series {
		span := int64(firstSpanMs)
		for from := tr.Min; from < tr.Max; {
			if err := ctx.Err(); err != nil {
				return err
			}
			until := tr.Max
			if uint64(tr.Max)-uint64(from) > uint64(span) { // the difference can overflow int64
				until = from + span
			}
			part.Reset()
			if err := s.Samples(ctx, model.TimeRange{Min: from, Max: until}, &part); err != nil {
				return err
			}
			if err := to.raw(uint32(i), &part); err != nil {
				return err
			}
			switch n := part.Len(); {
			case n < fewSamples && span < 1<<61:
				span *= 2
			case n > manySamples && span > minSpanMs:
				span /= 2
			}
			from = until
		}
	}
	return to.flush()
}
