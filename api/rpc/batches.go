package rpc

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/proto"

	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
)

// MaxMessageBytes bounds the length of a message; clients accept 4 MiB by default.
// Only a message with a single longer label set or histogram exceeds it.
const MaxMessageBytes = 1 << 20

// overheadBytes bounds the tags, lengths and numbers of a part of a message.
const overheadBytes = 32

// seriesBatches collects label sets until a message is full.
type seriesBatches struct {
	send  func(*tsdbv1.SeriesBatch) error
	batch *tsdbv1.SeriesBatch
	next  uint32 // index of the next series
	bytes int
}

func (f *seriesBatches) add(ls labels.Labels) error {
	s := &tsdbv1.Series{Labels: make([]*tsdbv1.Label, 0, ls.Len())}
	size := overheadBytes
	ls.Range(func(l labels.Label) {
		// label_replace can produce invalid UTF-8, which protobuf refuses.
		name, value := strings.ToValidUTF8(l.Name, "\uFFFD"), strings.ToValidUTF8(l.Value, "\uFFFD")
		s.Labels = append(s.Labels, &tsdbv1.Label{Name: name, Value: value})
		size += len(l.Name) + len(l.Value) + overheadBytes
	})
	if f.bytes+size > MaxMessageBytes {
		if err := f.flush(); err != nil {
			return err
		}
	}
	if f.batch == nil {
		f.batch = &tsdbv1.SeriesBatch{FirstIndex: f.next}
	}
	f.batch.Series = append(f.batch.Series, s)
	f.bytes += size
	f.next++
	return nil
}

func (f *seriesBatches) flush() error {
	if f.batch == nil {
		return nil
	}
	b := f.batch
	f.batch, f.bytes = nil, 0
	return f.send(b)
}

// sampleBatches collects samples until a message is full.
type sampleBatches struct {
	send    func(*tsdbv1.SampleBatch) error
	batch   *tsdbv1.SampleBatch
	bytes   int
	series  uint64 // number of series with samples
	samples uint64
	last    int64 // index of the last series with samples, -1 before the first
}

func newSampleBatches(send func(*tsdbv1.SampleBatch) error) *sampleBatches {
	return &sampleBatches{send: send, batch: &tsdbv1.SampleBatch{}, last: -1}
}

// floatBytes bounds the encoded size of a float sample: its time, value and start
// timestamp.
const floatBytes = 24

// floats adds float samples of a series. starts is empty or as long as times. The
// slices are copied.
func (f *sampleBatches) floats(series uint32, times []int64, values []float64, starts []int64) error {
	f.count(series, len(times))
	for len(times) > 0 {
		room := (MaxMessageBytes - f.bytes - overheadBytes) / floatBytes
		if room <= 0 {
			if err := f.flush(); err != nil {
				return err
			}
			continue
		}
		n := min(room, len(times))
		c := f.columns(series)
		c.TimesMs = append(c.TimesMs, times[:n]...)
		c.Values = append(c.Values, values[:n]...)
		if len(starts) > 0 {
			c.StartTimesMs = append(c.StartTimesMs, starts[:n]...)
			starts = starts[n:]
		}
		f.bytes += n * floatBytes
		times, values = times[n:], values[n:]
	}
	return nil
}

// histogram adds one histogram of a series.
func (f *sampleBatches) histogram(series uint32, h *tsdbv1.Histogram) error {
	f.count(series, 1)
	size := proto.Size(h) + overheadBytes
	if f.bytes > 0 && f.bytes+size+overheadBytes > MaxMessageBytes {
		if err := f.flush(); err != nil {
			return err
		}
	}
	c := f.columns(series)
	c.Histograms = append(c.Histograms, h)
	f.bytes += size
	return nil
}

func (f *sampleBatches) count(series uint32, n int) {
	if n > 0 && int64(series) != f.last {
		f.last = int64(series)
		f.series++
	}
	f.samples += uint64(n)
}

// columns returns the columns for the samples of a series: the last ones of the
// message, or new ones.
func (f *sampleBatches) columns(series uint32) *tsdbv1.SampleColumns {
	if n := len(f.batch.Columns); n > 0 && f.batch.Columns[n-1].SeriesIndex == series {
		return f.batch.Columns[n-1]
	}
	c := &tsdbv1.SampleColumns{SeriesIndex: series}
	f.batch.Columns = append(f.batch.Columns, c)
	f.bytes += overheadBytes
	return c
}

// flush sends the message. It blocks while the flow-control window of the client
// is full.
func (f *sampleBatches) flush() error {
	if len(f.batch.Columns) == 0 {
		return nil
	}
	b := f.batch
	f.batch, f.bytes = &tsdbv1.SampleBatch{}, 0
	return f.send(b)
}

// raw adds stored samples, floats and histograms.
func (f *sampleBatches) raw(series uint32, s *model.Samples) error {
	for i := 0; i < s.Len(); {
		if h := s.HistogramAt(i); !h.IsZero() {
			if err := f.histogram(series, toHistogram(s.T[i], s.StartAt(i), h)); err != nil {
				return err
			}
			i++
			continue
		}
		j := i + 1
		for j < s.Len() && (len(s.H) == 0 || s.H[j].IsZero()) {
			j++
		}
		var starts []int64
		if len(s.ST) > 0 {
			starts = s.ST[i:j]
		}
		if err := f.floats(series, s.T[i:j], s.V[i:j], starts); err != nil {
			return err
		}
		i = j
	}
	return nil
}

func toHistogram(t, start int64, h model.Histogram) *tsdbv1.Histogram {
	if h.Float != nil {
		m := toFloatHistogram(t, h.Float)
		m.StartMs = start
		return m
	}
	i := h.Int
	return &tsdbv1.Histogram{
		TimeMs: t, StartMs: start, ResetHint: tsdbv1.Histogram_ResetHint(i.CounterResetHint), Schema: i.Schema,
		ZeroThreshold: i.ZeroThreshold, Sum: i.Sum, CustomValues: slices.Clone(i.CustomValues),
		PositiveSpans: toSpans(i.PositiveSpans), NegativeSpans: toSpans(i.NegativeSpans),
		Counts: &tsdbv1.Histogram_Integers{Integers: &tsdbv1.IntegerCounts{
			Count: i.Count, ZeroCount: i.ZeroCount,
			PositiveDeltas: slices.Clone(i.PositiveBuckets), NegativeDeltas: slices.Clone(i.NegativeBuckets),
		}},
	}
}

func toFloatHistogram(t int64, h *histogram.FloatHistogram) *tsdbv1.Histogram {
	return &tsdbv1.Histogram{
		TimeMs: t, ResetHint: tsdbv1.Histogram_ResetHint(h.CounterResetHint), Schema: h.Schema,
		ZeroThreshold: h.ZeroThreshold, Sum: h.Sum, CustomValues: slices.Clone(h.CustomValues),
		PositiveSpans: toSpans(h.PositiveSpans), NegativeSpans: toSpans(h.NegativeSpans),
		Counts: &tsdbv1.Histogram_Floats{Floats: &tsdbv1.FloatCounts{
			Count: h.Count, ZeroCount: h.ZeroCount,
			Positive: slices.Clone(h.PositiveBuckets), Negative: slices.Clone(h.NegativeBuckets),
		}},
	}
}

func toSpans(of []histogram.Span) []*tsdbv1.BucketSpan {
	var all []*tsdbv1.BucketSpan
	for _, s := range of {
		all = append(all, &tsdbv1.BucketSpan{Offset: s.Offset, Length: s.Length})
	}
	return all
}
