package prom

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/proto"

	"tsdb/api/asof"
	tsdbmodel "tsdb/internal/model"
	"tsdb/query"
)

// federate serves the newest sample of every selected series for another
// Prometheus to scrape. The exposition has the text format, or protobuf if the
// client accepts it; only protobuf can hold native histograms.
func (a *API) federate(w http.ResponseWriter, r *http.Request) {
	charge, bad := a.parseForm(w, r)
	if bad != nil {
		if isUnavailable(bad.err) {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
		}
		http.Error(w, bad.err.Error(), bad.code)
		return
	}
	defer charge.Release()
	if r.Form.Has("as_of") {
		http.Error(w, asof.ErrPresentOnly.Error(), http.StatusBadRequest)
		return
	}
	texts := r.Form["match[]"]
	if len(texts) > maxSelectors {
		http.Error(w, fmt.Sprintf("%d match[] parameters, the limit is %d", len(texts), maxSelectors), http.StatusBadRequest)
		return
	}
	sets, err := a.parser.ParseMetricSelectors(texts)
	if lacksMemory(err) {
		writeReadError(w, err)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	damage, err := newDamageReport(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	held := a.opts.Engine.Charge()
	defer held.Close()
	newest, err := a.newest(r.Context(), held, sets, damage)
	if err != nil {
		writeReadError(w, err)
		return
	}
	damage.write(w.Header())
	format := expfmt.Negotiate(r.Header)
	w.Header().Set("Content-Type", string(format))
	if err := writeFamilies(expfmt.NewEncoder(w, format), newest, holdsHistograms(format)); err != nil {
		a.log.Debug("federation not sent", "err", err)
	}
}

// newest returns the last sample within the lookback of every selected series,
// sorted by metric name, without series that end with a stale marker.
func (a *API) newest(ctx context.Context, held *query.Charge, selectors [][]*labels.Matcher, damage *damageReport) (promql.Vector, error) {
	end := timestamp.FromTime(a.now())
	start := end - a.opts.Lookback.Milliseconds()
	db, err := a.opts.DB()
	if err != nil {
		return nil, unavailable(err).err
	}
	q, err := query.NewQueryable(db, tsdbmodel.DefaultTenant).Querier(start, end)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	held.Selections(q)
	hints := &promstorage.SelectHints{Start: start, End: end}
	var sets []promstorage.SeriesSet
	for _, ms := range selectors {
		if len(ms) > 0 { // {} selects nothing, as in Prometheus
			sets = append(sets, q.Select(ctx, true, hints, ms...))
		}
	}
	set := promstorage.NewMergeSeriesSet(sets, 0, promstorage.ChainedSeriesMerge)
	var found promql.Vector
	var it chunkenc.Iterator
	for n := 1; set.Next(); n++ {
		if n%contextCheckInterval == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s := promql.Sample{Metric: set.At().Labels()}
		it = set.At().Iterator(it)
		if !lastSample(it, &s) {
			if err := it.Err(); err != nil {
				return nil, err
			}
			continue
		}
		if !value.IsStaleNaN(s.F) && (s.H == nil || !value.IsStaleNaN(s.H.Sum)) {
			if err := held.Take(exposedBytes(&s)); err != nil {
				return nil, err
			}
			found = append(found, s)
		}
	}
	for _, w := range set.Warnings() {
		a.log.Warn("federation meets damaged data", "err", w)
	}
	if err := set.Err(); err != nil {
		return nil, err
	}
	if err := damage.check(set.Warnings()); err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b promql.Sample) int {
		return strings.Compare(a.Metric.Get(model.MetricNameLabel), b.Metric.Get(model.MetricNameLabel))
	})
	return found, nil
}

// lastSample reads it to the end and sets s to the last sample. It returns false
// if there is none, or on an error.
func lastSample(it chunkenc.Iterator, s *promql.Sample) bool {
	last := chunkenc.ValNone
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		switch last = kind; kind {
		case chunkenc.ValFloat:
			s.T, s.F = it.At()
			s.H = nil
		default:
			s.F = 0
			s.T, s.H = it.AtFloatHistogram(s.H)
		}
	}
	return last != chunkenc.ValNone && it.Err() == nil
}

// holdsHistograms reports whether a format can hold native histograms with
// exponential buckets.
func holdsHistograms(f expfmt.Format) bool {
	switch f.FormatType() {
	case expfmt.TypeProtoDelim, expfmt.TypeProtoText, expfmt.TypeProtoCompact:
		return true
	}
	return false
}

// writeFamilies writes samples that are sorted by metric name. A metric with
// samples of several types becomes several families of one name, which expositions
// should not have, but Prometheus accepts.
func writeFamilies(to expfmt.Encoder, samples promql.Vector, histograms bool) error {
	var family *dto.MetricFamily
	for i := range samples {
		s := &samples[i]
		name := s.Metric.Get(model.MetricNameLabel)
		if name == "" || s.H != nil && !histograms && !s.H.UsesCustomBuckets() {
			continue
		}
		kind := familyKind(s.H)
		if family == nil || family.GetName() != name || family.GetType() != kind {
			if err := encodeFamily(to, family); err != nil {
				return err
			}
			family = &dto.MetricFamily{Name: proto.String(name), Type: kind.Enum()}
		}
		family.Metric = append(family.Metric, exposed(s))
	}
	return encodeFamily(to, family)
}

func encodeFamily(to expfmt.Encoder, f *dto.MetricFamily) error {
	if f == nil {
		return nil
	}
	return to.Encode(f)
}

func familyKind(h *histogram.FloatHistogram) dto.MetricType {
	switch {
	case h == nil:
		return dto.MetricType_UNTYPED
	case h.CounterResetHint == histogram.GaugeType:
		return dto.MetricType_GAUGE_HISTOGRAM
	}
	return dto.MetricType_HISTOGRAM
}

// exposed returns a sample as a metric. A missing label instance is added with an
// empty value, so that the scraping Prometheus does not add its own.
func exposed(s *promql.Sample) *dto.Metric {
	m := &dto.Metric{TimestampMs: proto.Int64(s.T)}
	s.Metric.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			m.Label = append(m.Label, &dto.LabelPair{Name: proto.String(l.Name), Value: proto.String(l.Value)})
		}
	})
	if !s.Metric.Has(model.InstanceLabel) {
		m.Label = append(m.Label, &dto.LabelPair{Name: proto.String(model.InstanceLabel), Value: proto.String("")})
	}
	switch {
	case s.H == nil:
		m.Untyped = &dto.Untyped{Value: proto.Float64(s.F)}
	case s.H.UsesCustomBuckets():
		m.Histogram = classicHistogram(s.H)
	default:
		m.Histogram = nativeHistogram(s.H)
	}
	return m
}

// exposedBytes returns the approximate memory of a sample and the metric that exposed
// returns for it.
func exposedBytes(s *promql.Sample) int64 {
	const metric, pair = 256, 128
	bytes := metric + pair*int64(s.Metric.Len()+1)
	if s.H != nil {
		bytes += 2 * int64(s.H.Size())
	}
	return bytes
}

// nativeHistogram converts a histogram with exponential buckets.
func nativeHistogram(h *histogram.FloatHistogram) *dto.Histogram {
	return &dto.Histogram{
		SampleCountFloat: proto.Float64(h.Count), SampleSum: proto.Float64(h.Sum), Schema: proto.Int32(h.Schema),
		ZeroThreshold: proto.Float64(h.ZeroThreshold), ZeroCountFloat: proto.Float64(h.ZeroCount),
		PositiveSpan: spans(h.PositiveSpans), PositiveCount: h.PositiveBuckets,
		NegativeSpan: spans(h.NegativeSpans), NegativeCount: h.NegativeBuckets,
	}
}

func spans(of []histogram.Span) []*dto.BucketSpan {
	var all []*dto.BucketSpan
	for _, s := range of {
		all = append(all, &dto.BucketSpan{Offset: proto.Int32(s.Offset), Length: proto.Uint32(s.Length)})
	}
	return all
}

// classicHistogram converts a histogram with custom buckets to cumulative ones,
// which every format supports. The +Inf bucket is the count and is omitted.
func classicHistogram(h *histogram.FloatHistogram) *dto.Histogram {
	counts := make([]float64, len(h.CustomValues)+1) // by bucket
	for it := h.PositiveBucketIterator(); it.Next(); {
		if b := it.At(); uint(b.Index) < uint(len(counts)) {
			counts[b.Index] = b.Count
		}
	}
	d := &dto.Histogram{SampleCountFloat: proto.Float64(h.Count), SampleSum: proto.Float64(h.Sum)}
	total := 0.0
	for i, upper := range h.CustomValues {
		total += counts[i]
		d.Bucket = append(d.Bucket, &dto.Bucket{UpperBound: proto.Float64(upper), CumulativeCountFloat: proto.Float64(total)})
	}
	return d
}
