package source

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"tsdb/internal/model"
)

// iterator iterates over the samples of one series. It decodes all of them when the
// first one is requested.
//
// Prometheus' engine checks its context only between series. A range query of one
// series can take minutes, so the iterator, which is called at every step, also
// checks the context.
type iterator struct {
	series  series
	samples model.Samples
	i       int // current sample; -1 before the first, samples.Len() after the last
	loaded  bool
	err     error

	lead model.Samples // scratch of hintFirst
}

// hintLeadMs is the duration before a range that is searched for the predecessor of
// its first histogram.
const hintLeadMs = 10 * model.MinuteMs

// withLead returns the range in which series are selected for reading tr. It includes
// the predecessor, which can be in another block.
func withLead(tr model.TimeRange) model.TimeRange {
	if tr.Min > math.MinInt64+hintLeadMs {
		tr.Min -= hintLeadMs
	}
	return tr
}

var _ chunkenc.Iterator = (*iterator)(nil)

// millis are Unix milliseconds. (With a plain int64, go vet takes the Seek of
// chunkenc.Iterator for a wrong io.Seeker.)
type millis = int64

func (it *iterator) reset(s series) {
	it.samples.Reset()
	it.series, it.i, it.loaded, it.err = s, -1, false, nil
}

// take positions the iterator before samples of a series that have been read already
// and include histograms. It copies them.
func (it *iterator) take(s series, samples *model.Samples) {
	it.reset(s)
	it.samples.AppendRange(samples, 0, samples.Len())
	it.loaded = true
	s.sel.histograms.Store(true)
	it.hintFirst()
}

// ready reads the samples on the first call and reports whether any may be left.
func (it *iterator) ready() bool {
	sel := it.series.sel
	switch {
	case sel.ended.Load():
		it.fail(sel.ctx.Err())
		return false
	case it.loaded:
		return it.err == nil
	}
	it.loaded = true
	if err := it.series.of.Samples(sel.ctx, sel.tr, &it.samples); err != nil {
		it.fail(WrapError(err))
		return false
	}
	if len(it.samples.H) > 0 {
		sel.histograms.Store(true)
		it.hintFirst()
	}
	return true
}

// hintFirst corrects the counter-reset hint of the first sample. The storage derives
// hints from predecessors, and the predecessor of the first sample was not read;
// Prometheus derives them in whole chunks. The difference affects aggregations: a
// sum of histograms is marked as not reset only if all of them are.
func (it *iterator) hintFirst() {
	if it.samples.Len() == 0 {
		return
	}
	first := it.samples.HistogramAt(0)
	if hintOf(first) != histogram.UnknownCounterReset || first.IsZero() {
		return
	}
	t := it.samples.T[0]
	it.lead.Reset()
	sel := it.series.sel
	if err := it.series.of.Samples(sel.ctx, withLead(model.TimeRange{Min: t, Max: t + 1}), &it.lead); err != nil {
		return // an unknown hint is always correct
	}
	if n := it.lead.Len(); n > 1 && it.lead.T[n-1] == t {
		it.samples.H[0] = it.lead.HistogramAt(n - 1)
	}
}

func hintOf(h model.Histogram) histogram.CounterResetHint {
	switch {
	case h.Int != nil:
		return h.Int.CounterResetHint
	case h.Float != nil:
		return h.Float.CounterResetHint
	}
	return histogram.UnknownCounterReset
}

// fail ends the iteration with an error; the first error is kept.
func (it *iterator) fail(err error) {
	if it.err == nil {
		it.err = err
	}
	it.i = it.samples.Len()
}

// Next advances to the next sample.
func (it *iterator) Next() chunkenc.ValueType {
	if !it.ready() {
		return chunkenc.ValNone
	}
	if it.i < it.samples.Len() {
		it.i++
	}
	return it.kind()
}

// Seek advances to the first sample at or after t, unless the current one already is.
func (it *iterator) Seek(t millis) chunkenc.ValueType {
	if !it.ready() {
		return chunkenc.ValNone
	}
	from := max(it.i, 0)
	ts := it.samples.T[from:]
	// Most steps are short: gallop from the current position.
	hi := 1
	for hi < len(ts) && ts[hi-1] < t {
		hi *= 2
	}
	lo, hi := hi/2, min(hi, len(ts))
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); ts[m] < t {
			lo = m + 1
		} else {
			hi = m
		}
	}
	it.i = from + lo
	return it.kind()
}

// kind returns the type of the current sample.
func (it *iterator) kind() chunkenc.ValueType {
	if it.i >= it.samples.Len() {
		return chunkenc.ValNone
	}
	if len(it.samples.H) == 0 {
		return chunkenc.ValFloat
	}
	switch h := &it.samples.H[it.i]; {
	case h.Int != nil:
		return chunkenc.ValHistogram
	case h.Float != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

// interrupt panics if the context has ended and the engine recovers from panics. A
// step that needs no further sample only reads the current one again, which cannot
// return an error, but the engine returns the error of a panic as that of the query.
func (it *iterator) interrupt() {
	if sel := it.series.sel; sel.recovers && sel.ended.Load() {
		panic(sel.ctx.Err())
	}
}

// At returns the current sample, a float.
func (it *iterator) At() (int64, float64) {
	it.interrupt()
	return it.samples.T[it.i], it.samples.V[it.i]
}

// AtT returns the time of the current sample.
func (it *iterator) AtT() int64 {
	it.interrupt()
	return it.samples.T[it.i]
}

// AtST returns the start timestamp of the current sample, or 0.
func (it *iterator) AtST() int64 { return it.samples.StartAt(it.i) }

// AtHistogram returns a copy of the current sample, a histogram with integer counts,
// in dst if that is not nil.
func (it *iterator) AtHistogram(dst *histogram.Histogram) (int64, *histogram.Histogram) {
	h := it.samples.H[it.i].Int
	if dst == nil {
		return it.samples.T[it.i], h.Copy()
	}
	h.CopyTo(dst)
	return it.samples.T[it.i], dst
}

// AtFloatHistogram returns a copy of the current sample, a histogram, with float
// counts, in dst if that is not nil.
func (it *iterator) AtFloatHistogram(dst *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, h := it.samples.T[it.i], it.samples.H[it.i]
	switch {
	case h.Int != nil:
		return t, h.Int.ToFloat(dst)
	case dst == nil:
		return t, h.Float.Copy()
	}
	h.Float.CopyTo(dst)
	return t, dst
}

// Err returns the error that ended the iteration, or nil.
func (it *iterator) Err() error {
	if it.err == nil && it.series.sel.ended.Load() {
		it.fail(it.series.sel.ctx.Err())
	}
	return it.err
}
