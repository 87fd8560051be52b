package source

import (
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/storage"
)

// SeriesSet iterates over the first n series of a selection.
type SeriesSet struct {
	sel  *selection
	n, i int
}

// EmptySeriesSet returns a set without series.
func EmptySeriesSet() *SeriesSet { return &SeriesSet{i: -1} }

func (s *SeriesSet) Next() bool {
	s.i++
	return s.i < s.n
}

func (s *SeriesSet) At() promstorage.Series { return series{s.sel, s.sel.set.At(s.i)} }
func (s *SeriesSet) Err() error             { return nil }

func (s *SeriesSet) Warnings() annotations.Annotations { return annotate(s.sel.set.Warnings()) }

// series is one series of a selection. It is not read until an iterator requests its
// first sample.
type series struct {
	sel *selection
	of  *storage.Series
}

func (s series) Labels() labels.Labels { return s.of.Labels }

// Iterator returns an iterator over the samples. It reuses old and its memory if old
// is an iterator of this package.
func (s series) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	it, ok := old.(*iterator)
	if !ok {
		it = new(iterator)
	}
	it.reset(s)
	return it
}
