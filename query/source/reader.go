package source

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"tsdb/internal/model"
	"tsdb/storage"
)

// Reader reads the samples of series of a SeriesSet, one series at a time, in
// columns. It is not safe for concurrent use, but several Readers may read one set.
type Reader struct {
	columns storage.ColumnReader
	tiered  storage.TieredReader
	loaded  int64    // bytes of the samples loaded last
	it      iterator // for series with histograms
}

// Load reads the samples of series i of a set. They must not be changed and are valid
// until the next Load. shared reports that their times are never overwritten.
func (r *Reader) Load(set *SeriesSet, i int) (samples *model.ColumnSet, shared bool, err error) {
	sel := set.sel
	if sel.ended.Load() {
		return nil, false, sel.ctx.Err()
	}
	samples, shared, err = r.columns.Read(sel.ctx, sel.set.At(i), sel.tr)
	if err != nil {
		return nil, false, WrapError(err)
	}
	r.loaded = samplesBytes(samples)
	if len(samples.H) == 0 {
		return samples, shared, nil
	}
	// The first histogram's hint depends on the samples before it, and the
	// iterator's memory can be written to.
	r.it.take(series{sel, sel.set.At(i)}, samples)
	return &r.it.samples, false, nil
}

// IntegralBits returns the number of bits of the values loaded last: see
// storage.ColumnReader.
func (r *Reader) IntegralBits() int { return r.columns.IntegralBits() }

// HistogramStats returns the histograms of the samples loaded last with only sum and
// count, and with the counter resets found in their buckets, as Prometheus reads
// them when no function needs buckets.
func (r *Reader) HistogramStats() []*histogram.FloatHistogram {
	hs := make([]*histogram.FloatHistogram, r.it.samples.Len())
	r.it.i = -1
	it := promql.NewHistogramStatsIterator(&r.it)
	for i := range hs {
		if kind := it.Next(); kind == chunkenc.ValHistogram || kind == chunkenc.ValFloatHistogram {
			_, hs[i] = it.AtFloatHistogram(nil)
		}
	}
	return hs
}

// ReadAggregated calls fn with samples and chunk aggregates of series i: see
// storage.Series.Intervals.
func (s *SeriesSet) ReadAggregated(i int, useAggregate func(model.TimeRange) bool, scratch *model.Samples, fn func(storage.Interval) error) error {
	sel := s.sel
	return sel.set.At(i).Intervals(sel.ctx, sel.tr, useAggregate, scratch, fn)
}

// EndOfRange returns the end of the range in which the series are read.
func (s *SeriesSet) EndOfRange() int64 { return s.sel.tr.Max }

// Scratch returns memory for samples that is valid until the next Load.
func (r *Reader) Scratch() *model.Samples { return &r.it.samples }

// Bytes returns the memory of the samples loaded last.
func (r *Reader) Bytes() int64 { return samplesBytes(&r.it.samples) + r.loaded }

// Release releases the references to blocks.
func (r *Reader) Release() {
	r.columns.Release()
	r.tiered.Release()
}

// samplesBytes returns the memory of samples, excluding the histograms they point to.
func samplesBytes(s *model.ColumnSet) int64 {
	n := 8*int64(cap(s.T)+cap(s.V)+cap(s.H)+cap(s.ST)) + int64(cap(s.Kinds))
	for _, c := range s.Columns {
		n += 8 * int64(cap(c.Values))
	}
	return n
}

// Len returns the number of series.
func (s *SeriesSet) Len() int { return s.n }

// Labels returns the labels of series i.
func (s *SeriesSet) Labels(i int) labels.Labels { return s.sel.set.At(i).Labels }
