package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"tsdb/internal/loopback"
)

// otlpSections are settings of OTLP, in the form that both servers read.
var otlpSections = []string{
	"",
	"translation_strategy: UnderscoreEscapingWithSuffixes, label_name_underscore_sanitization: false, label_name_preserve_multiple_underscores: false",
	"translation_strategy: UnderscoreEscapingWithoutSuffixes, promote_resource_attributes: [deployment.environment.name, host.name], keep_identifying_resource_attributes: true",
	"translation_strategy: NoUTF8EscapingWithSuffixes, promote_scope_metadata: true",
	"translation_strategy: NoTranslation, promote_all_resource_attributes: true, ignore_resource_attributes: [host.name], convert_histograms_to_nhcb: true",
}

// The same OTLP requests are sent to Prometheus 3.14 and to our server, in protobuf and
// in JSON, under settings that both reload. Then all series of both have the same labels
// and samples.
func TestOTLPAsPrometheus(t *testing.T) {
	t.Parallel()
	findProgram(t, "prometheus-3.14")
	client := newHTTPClient(t)
	config := filepath.Join(t.TempDir(), "tsdb.yml")
	writeFile(t, config, "")
	tsdb := newServer(t, t.TempDir(), "--config", config)
	tsdb.start(t)
	tsdb.waitReady(t)
	reference := startPrometheus(t, "prometheus-3.14", loopback.FreeAddr(t), "global: {}\n", "--web.enable-otlp-receiver")

	begin := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	for i, section := range otlpSections {
		if i > 0 {
			text := "otlp: {" + section + "}\n"
			reference.configure(t, "global: {}\n"+text)
			writeFile(t, config, text)
			tsdb.post(t, "/-/reload")
		}
		for round := range 3 {
			md := otlpMetrics(fmt.Sprintf("shop-%d", i), begin.Add(time.Duration(round)*time.Minute), round)
			for j, base := range []string{tsdb.url(), reference.url} {
				sendOTLP(t, client, base+"/api/v1/otlp/v1/metrics", md, (round+j)%2 == 1)
			}
		}
	}
	end := seconds(begin.Add(5 * time.Minute))
	all := url.Values{"query": {`{__name__!="",job=~"demo/shop-.*"}[10m]`}, "time": {end}}
	sameAnswer(t, client, tsdb.url(), reference.url, "/api/v1/query", all)
	_, got := rows(t, mustAsk(t, client, tsdb.url(), "/api/v1/query", all).Data)
	if len(got) < 15*len(otlpSections) {
		t.Errorf("only %d series", len(got))
	}
	for _, q := range []string{
		`sum by (job) (rate({__name__=~"orders(_total)?"}[2m]))`,
		`histogram_quantile(0.9, rate({__name__=~"http.server.request.duration(_seconds)?_bucket"}[2m]))`,
		`histogram_quantile(0.9, rate({__name__=~"http.server.request.duration"}[2m]))`,
		`histogram_count({__name__=~"rpc.*"})`,
		`{__name__=~"queue.fill.0.*"} * on (job, instance) group_left ("host.name", host_name) target_info`,
	} {
		sameAnswer(t, client, tsdb.url(), reference.url, "/api/v1/query_range", url.Values{"query": {q}, "start": {seconds(begin)}, "end": {end}, "step": {"15"}})
	}
	sameAnswer(t, client, tsdb.url(), reference.url, "/api/v1/labels", url.Values{"match[]": {`{job=~"demo/shop-.*"}`}})
	tsdb.noPanic(t)
}

// sendOTLP sends metrics and expects that all are stored.
func sendOTLP(t *testing.T, c *http.Client, address string, md pmetric.Metrics, inJSON bool) {
	t.Helper()
	request := pmetricotlp.NewExportRequestFromMetrics(md)
	encode, kind := request.MarshalProto, "application/x-protobuf"
	if inJSON {
		encode, kind = request.MarshalJSON, "application/json"
	}
	body, err := encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := send(t.Context(), c, address, body, http.Header{"Content-Type": {kind}})
	if err != nil || r.code != http.StatusOK || strings.Contains(r.body, "artialSuccess") {
		t.Fatalf("%s: %d %s %v", address, r.code, r.body, err)
	}
}

// otlpMetrics returns metrics of every kind.
func otlpMetrics(service string, at time.Time, round int) pmetric.Metrics {
	now, start := pcommon.NewTimestampFromTime(at), pcommon.NewTimestampFromTime(at.Add(-time.Hour))
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	for _, kv := range [][2]string{
		{"service.name", service}, {"service.namespace", "demo"}, {"service.instance.id", "a-1"}, {"deployment.environment.name", "test"}, {"host.name", "h1"}, {"_os", "linux"},
	} {
		rm.Resource().Attributes().PutStr(kv[0], kv[1])
	}
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.SetSchemaUrl("https://opentelemetry.io/schemas/1.37.0")
	sm.Scope().SetName("io.shop")
	sm.Scope().SetVersion("1.2.3")
	sm.Scope().Attributes().PutStr("short.name", "shop")
	add := func(name, unit string) pmetric.Metric {
		m := sm.Metrics().AppendEmpty()
		m.SetName(name)
		m.SetUnit(unit)
		m.SetDescription("About " + name + ".")
		return m
	}
	attributes := func(m pcommon.Map) {
		m.PutStr("http.request.method", "GET")
		m.PutStr("http_request_method", "joined")
		m.PutInt("http.response.status_code", 200)
		m.PutBool("_internal", true)
		m.PutDouble("ratio__of", 0.25)
		m.PutEmptySlice("list").AppendEmpty().SetStr("x")
	}
	for i, name := range []string{"orders", "orders.value"} {
		s := add(name, []string{"{order}", "By"}[i]).SetEmptySum()
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		s.SetIsMonotonic(i == 0)
		p := s.DataPoints().AppendEmpty()
		attributes(p.Attributes())
		p.SetStartTimestamp(start)
		p.SetTimestamp(now)
		p.SetIntValue(int64(100*round + i))
	}
	for i, unit := range []string{"1", "%", "s", "By/s"} {
		p := add("queue.fill/"+fmt.Sprint(i), unit).SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetDoubleValue(float64(round) / 3)
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(round == 2 && i == 3))
	}
	h := add("http.server.request.duration", "s").SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := h.DataPoints().AppendEmpty()
	attributes(p.Attributes())
	p.SetStartTimestamp(start)
	p.SetTimestamp(now)
	p.ExplicitBounds().FromRaw([]float64{0.005, 0.1, 1, 10})
	n := uint64(10 * (round + 1))
	p.BucketCounts().FromRaw([]uint64{n, 2 * n, 0, n, 1})
	p.SetCount(4*n + 1)
	p.SetSum(float64(n) * 1.25)
	x := add("rpc.size", "By").SetEmptyExponentialHistogram()
	x.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	e := x.DataPoints().AppendEmpty()
	e.SetStartTimestamp(start)
	e.SetTimestamp(now)
	e.SetScale(2)
	e.SetZeroCount(n)
	e.Positive().SetOffset(-3)
	e.Positive().BucketCounts().FromRaw([]uint64{n, 0, 0, 0, n, 1})
	e.Negative().SetOffset(1)
	e.Negative().BucketCounts().FromRaw([]uint64{2})
	e.SetCount(3*n + 3)
	e.SetSum(7.5)
	q := add("gc.pause", "ms").SetEmptySummary().DataPoints().AppendEmpty()
	q.SetStartTimestamp(start)
	q.SetTimestamp(now)
	q.SetCount(n)
	q.SetSum(3)
	for i, v := range []float64{0, 0.5, 0.99} {
		qv := q.QuantileValues().AppendEmpty()
		qv.SetQuantile(v)
		qv.SetValue(float64(i))
	}
	return md
}
