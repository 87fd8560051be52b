package otlp

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"tsdb/api/ingest/doortest"
)

// record is what Prometheus' translation appends: the last value of each series and
// time, exemplars and metadata.
type record struct {
	samples   map[string]string
	exemplars map[string]bool
	metadata  map[string]string
}

func newRecord() *record {
	return &record{map[string]string{}, map[string]bool{}, map[string]string{}}
}

func (r *record) Commit() error   { return nil }
func (r *record) Rollback() error { return nil }

func (r *record) Append(_ promstorage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, _ *histogram.FloatHistogram, o promstorage.AOptions) (promstorage.SeriesRef, error) {
	r.add(ls.String(), t, st, v, h)
	for _, e := range o.Exemplars {
		if e.Ts == 0 {
			e.Ts = t
		}
		r.exemplars[fmt.Sprintf("%s %v %d %x", ls, e.Labels, e.Ts, math.Float64bits(e.Value))] = true
	}
	r.metadata[o.MetricFamilyName] = fmt.Sprint(o.Metadata)
	return 1, nil
}

func (r *record) add(series string, t, st int64, v float64, h *histogram.Histogram) {
	value := fmt.Sprintf("%x", math.Float64bits(v))
	if h != nil {
		value = fmt.Sprintf("%+v", *h)
		if math.Float64bits(h.Sum) == math.Float64bits(stale) {
			value = "stale histogram" // its buckets are not stored
		}
	}
	r.samples[fmt.Sprint(series, " ", t)] = fmt.Sprint(st, " ", value)
}

// stored is what our door made of a message, in the same form.
func recordOf(m *doortest.Memory) *record {
	r := newRecord()
	for _, s := range m.Samples {
		r.add(s.Series, s.T, s.ST, s.V, nil)
	}
	for _, h := range m.Histograms {
		r.add(h.Series, h.T, h.ST, 0, h.H.Int)
	}
	for _, e := range m.Exemplars {
		r.exemplars[fmt.Sprintf("%s %v %d %x", e.Series, e.E.Labels, e.E.T, math.Float64bits(e.E.V))] = true
	}
	for family, metadata := range m.MetadataOf {
		r.metadata[family] = fmt.Sprint(metadata)
	}
	return r
}

// reference translates metrics with Prometheus' own code.
func reference(t *testing.T, md pmetric.Metrics, s Settings) *record {
	t.Helper()
	r := newRecord()
	rules := newRules(s)
	_, err := prometheusremotewrite.NewPrometheusConverter(r).FromMetrics(t.Context(), md, prometheusremotewrite.Settings{
		AddMetricSuffixes: rules.metric.WithMetricSuffixes,
		AllowUTF8:         rules.utf8,
		PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{
			PromoteAllResourceAttributes: s.PromoteAllResourceAttributes, PromoteResourceAttributes: s.PromoteResourceAttributes, IgnoreResourceAttributes: s.IgnoreResourceAttributes,
		}),
		KeepIdentifyingResourceAttributes:    s.KeepIdentifyingResourceAttributes,
		ConvertHistogramsToNHCB:              s.ConvertHistogramsToNHCB,
		PromoteScopeMetadata:                 s.PromoteScopeMetadata,
		LabelNameUnderscoreSanitization:      !s.KeepLeadingUnderscore,
		LabelNamePreserveMultipleUnderscores: !s.CollapseUnderscores,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// settingsUnderTest vary every setting.
var settingsUnderTest = map[string]Settings{
	"default":          {},
	"without suffixes": {TranslationStrategy: "UnderscoreEscapingWithoutSuffixes", KeepLeadingUnderscore: true, CollapseUnderscores: true},
	"utf8 suffixes":    {TranslationStrategy: "NoUTF8EscapingWithSuffixes", PromoteScopeMetadata: true},
	"no translation":   {TranslationStrategy: "NoTranslation", PromoteAllResourceAttributes: true},
	"promoted":         {PromoteResourceAttributes: []string{"k8s.pod", "service.name", "_x"}, KeepIdentifyingResourceAttributes: true},
	"all promoted":     {PromoteAllResourceAttributes: true, IgnoreResourceAttributes: []string{"k8s.pod"}, PromoteScopeMetadata: true},
	"custom buckets":   {ConvertHistogramsToNHCB: true, CollapseUnderscores: true},
}

// TestSeriesAndSamplesAreThoseOfPrometheus compares random requests, under all
// settings, with Prometheus' own translation: series, times, start timestamps, values to
// the bit, exemplars and metadata.
func TestSeriesAndSamplesAreThoseOfPrometheus(t *testing.T) {
	for name, s := range settingsUnderTest {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				md := randomMetrics(rand.New(rand.NewPCG(seed, 12)))
				m, o, err := decode(t, s, marshal(t, md))
				if err != nil || o != (outcome{}) {
					t.Fatalf("seed %d: %+v %v", seed, o, err)
				}
				got, want := recordOf(m), reference(t, md, s)
				diff(t, seed, "sample", got.samples, want.samples)
				diff(t, seed, "exemplar", got.exemplars, want.exemplars)
				if _, ok := want.metadata["target_info"]; !ok {
					delete(got.metadata, "target_info") // of a resource whose service.name is empty
				}
				diff(t, seed, "metadata", got.metadata, want.metadata)
				if t.Failed() {
					return
				}
			}
		})
	}
}

func diff[V comparable](t *testing.T, seed uint64, what string, got, want map[string]V) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[k]; !ok || v != want[k] {
			t.Errorf("seed %d: %s %s\n got %v\nwant %v", seed, what, k, v, want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			t.Errorf("seed %d: %s %s = %v, which Prometheus does not have", seed, what, k, got[k])
		}
	}
}

// randomMetrics returns a request that Prometheus takes as a whole.
func randomMetrics(r *rand.Rand) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range 1 + r.IntN(3) {
		rm := md.ResourceMetrics().AppendEmpty()
		randomAttributes(r, rm.Resource().Attributes(), "service.name", "service.namespace", "service.instance.id", "k8s.pod", "_x", "host.name", "job", "a b")
		for range 1 + r.IntN(2) {
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.SetSchemaUrl(pick(r, "", "https://opentelemetry.io/schemas/1.26.0"))
			sm.Scope().SetName(pick(r, "", "io.opentelemetry.http"))
			sm.Scope().SetVersion(pick(r, "", "1.2"))
			randomAttributes(r, sm.Scope().Attributes(), "kind", "x.y")
			for range 1 + r.IntN(6) {
				randomMetric(r, sm.Metrics().AppendEmpty())
			}
		}
	}
	return md
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func randomAttributes(r *rand.Rand, m pcommon.Map, keys ...string) {
	for _, k := range keys {
		if r.IntN(2) == 0 {
			continue
		}
		v := m.PutEmpty(k)
		switch r.IntN(12) {
		case 0:
			v.SetInt(r.Int64() - math.MaxInt64/2)
		case 1:
			v.SetDouble([]float64{0.1, 1e21, 1e-7, 3, math.NaN(), math.Inf(-1), 12345678.9}[r.IntN(7)])
		case 2:
			v.SetBool(r.IntN(2) == 0)
		case 3:
			v.SetEmptyBytes().FromRaw([]byte{1, 2, byte(r.IntN(256))})
		case 4:
			s := v.SetEmptySlice()
			s.AppendEmpty().SetStr("<a>")
			s.AppendEmpty().SetDouble(2.5)
			s.AppendEmpty()
		case 5:
			inner := v.SetEmptyMap()
			inner.PutInt("z", 1)
			inner.PutEmptySlice("a").AppendEmpty().SetBool(true)
			inner.PutEmptyBytes("b").FromRaw([]byte("xyz"))
		case 6: // empty
		default:
			v.SetStr(pick(r, "a", "b", "prod", "x;y", "ü", ""))
		}
	}
}

func randomMetric(r *rand.Rand, m pmetric.Metric) {
	m.SetName(pick(r, "http.server.duration", "cpu_time", "1st", "requests.total", "x/y z", "ratio", "memory.bytes"))
	m.SetUnit(pick(r, "", "s", "By", "1", "{request}", "m/s", "%"))
	m.SetDescription(pick(r, "", "What it is."))
	n := 1 + r.IntN(3)
	switch r.IntN(6) {
	case 0:
		for range n {
			randomNumber(r, m.SetEmptyGauge().DataPoints().AppendEmpty(), false)
		}
	case 1, 2:
		s := m.SetEmptySum()
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		s.SetIsMonotonic(r.IntN(2) == 0)
		for range n {
			randomNumber(r, s.DataPoints().AppendEmpty(), true)
		}
	case 3:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for range n {
			randomHistogram(r, h.DataPoints().AppendEmpty())
		}
	case 4:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for range n {
			randomExponential(r, h.DataPoints().AppendEmpty())
		}
	case 5:
		s := m.SetEmptySummary()
		for range n {
			p := s.DataPoints().AppendEmpty()
			randomAttributes(r, p.Attributes(), pointKeys...)
			p.SetTimestamp(randomTime(r))
			p.SetStartTimestamp(randomTime(r))
			p.SetCount(r.Uint64N(1000))
			p.SetSum(r.NormFloat64())
			p.SetFlags(randomFlags(r))
			for i := range r.IntN(4) {
				q := p.QuantileValues().AppendEmpty()
				q.SetQuantile(float64(i) / 3)
				q.SetValue(r.NormFloat64())
			}
		}
	}
}

// pointKeys include some that become the same label, and reserved ones.
var pointKeys = []string{"http.method", "http_method", "http-method", "code", "_x", "__name__", "le", "a__b", "0day", "job"}

func randomTime(r *rand.Rand) pcommon.Timestamp {
	return nano + pcommon.Timestamp(r.Int64N(20*60_000_000_000))
}

func randomFlags(r *rand.Rand) pmetric.DataPointFlags {
	return pmetric.DefaultDataPointFlags.WithNoRecordedValue(r.IntN(10) == 0)
}

func randomNumber(r *rand.Rand, p pmetric.NumberDataPoint, exemplars bool) {
	randomAttributes(r, p.Attributes(), pointKeys...)
	p.SetTimestamp(randomTime(r))
	if r.IntN(2) == 0 {
		p.SetStartTimestamp(randomTime(r))
	}
	if r.IntN(2) == 0 {
		p.SetIntValue(r.Int64())
	} else {
		p.SetDoubleValue([]float64{r.NormFloat64(), math.NaN(), math.Copysign(0, -1), math.Inf(1)}[r.IntN(4)])
	}
	p.SetFlags(randomFlags(r))
	if exemplars {
		randomExemplars(r, p.Exemplars(), []float64{1, 5})
	}
}

func randomExemplars(r *rand.Rand, es pmetric.ExemplarSlice, values []float64) {
	for _, v := range values {
		if r.IntN(3) > 0 {
			continue
		}
		e := es.AppendEmpty()
		if r.IntN(2) == 0 {
			e.SetTimestamp(randomTime(r))
		}
		if r.IntN(2) == 0 {
			e.SetIntValue(int64(v))
		} else {
			e.SetDoubleValue(v)
		}
		if r.IntN(2) == 0 {
			e.SetTraceID(pcommon.TraceID{1, 2, byte(r.IntN(256))})
			e.SetSpanID(pcommon.SpanID{3, byte(r.IntN(256))})
		}
		e.FilteredAttributes().PutStr("user.id", pick(r, "u", "a name that is long enough for the limit of all labels together to be exceeded by it"))
	}
}

func randomHistogram(r *rand.Rand, p pmetric.HistogramDataPoint) {
	randomAttributes(r, p.Attributes(), pointKeys...)
	p.SetTimestamp(randomTime(r))
	p.SetStartTimestamp(randomTime(r))
	p.SetFlags(randomFlags(r))
	if r.IntN(3) > 0 {
		p.SetSum(r.NormFloat64())
	}
	bounds := []float64{-1, 0, 0.25, 1, 10, 1e6, 1e9, 1e12}[:r.IntN(9)]
	count := uint64(0)
	for range len(bounds) + 1 {
		n := r.Uint64N(3) * r.Uint64N(40)
		p.BucketCounts().Append(n)
		count += n
	}
	p.ExplicitBounds().FromRaw(bounds)
	p.SetCount(count)
	if count == 0 {
		p.SetSum(0)
	}
	randomExemplars(r, p.Exemplars(), []float64{-2, 0, 7, 1e8, 1e13})
}

// randomExponential makes scales above 8 only without empty buckets: see
// TestMergedBucketsKeepTheirPlace.
func randomExponential(r *rand.Rand, p pmetric.ExponentialHistogramDataPoint) {
	randomAttributes(r, p.Attributes(), pointKeys...)
	p.SetTimestamp(randomTime(r))
	p.SetStartTimestamp(randomTime(r))
	p.SetFlags(randomFlags(r))
	p.SetScale(r.Int32N(25) - 4)
	p.SetZeroCount(r.Uint64N(5))
	p.SetZeroThreshold(pick2(r, 0, 0.01))
	count := p.ZeroCount()
	for _, b := range []pmetric.ExponentialHistogramDataPointBuckets{p.Positive(), p.Negative()} {
		b.SetOffset(r.Int32N(2000) - 1000)
		for range r.IntN(60) {
			n := r.Uint64N(50)
			if p.Scale() > 8 {
				n++
			} else if r.IntN(2) == 0 {
				n = 0
			}
			b.BucketCounts().Append(n)
			count += n
		}
	}
	p.SetCount(count)
	if r.IntN(2) == 0 {
		p.SetSum(r.NormFloat64())
	}
	randomExemplars(r, p.Exemplars(), []float64{1, 5})
}

func pick2(r *rand.Rand, a, b float64) float64 {
	if r.IntN(2) == 0 {
		return a
	}
	return b
}
