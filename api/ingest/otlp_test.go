package ingest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"tsdb/api/ingest/doortest"
	"tsdb/api/ingest/otlp"
	"tsdb/storage"
)

const otlpType = "application/x-protobuf"

// otlpRequest encodes metrics.
func otlpRequest(t testing.TB, md pmetric.Metrics) []byte {
	t.Helper()
	b, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// otlpCounter returns metrics of a counter of service shop with one data point at each
// time, in Unix milliseconds.
func otlpCounter(times ...int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("orders")
	s := m.SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for i, t := range times {
		p := s.DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.Timestamp(t * 1e6))
		p.SetStartTimestamp(pcommon.Timestamp((base - 5000) * 1e6))
		p.SetIntValue(int64(i + 1))
	}
	return md
}

// otlpAnswer decodes a response.
func otlpAnswer(t *testing.T, a answer) pmetricotlp.ExportPartialSuccess {
	t.Helper()
	r := pmetricotlp.NewExportResponse()
	if err := r.UnmarshalProto([]byte(a.body)); err != nil || a.code != http.StatusOK || a.header.Get("Content-Type") != otlpType {
		t.Fatalf("%+v: %v", a, err)
	}
	return r.PartialSuccess()
}

// TestOTLPIsStored: on every path and with every compression.
func TestOTLPIsStored(t *testing.T) {
	d := openDoor(t)
	body := otlpRequest(t, otlpCounter(base))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range otlp.Paths {
		for encoding, b := range map[string][]byte{"": body, "identity": body, "gzip": zipped.Bytes(), "zstd": e.EncodeAll(body, nil)} {
			if p := otlpAnswer(t, d.do("POST", path, b, "Content-Type", otlpType+"; charset=utf-8", "Content-Encoding", encoding)); p.RejectedDataPoints() != 0 || p.ErrorMessage() != "" {
				t.Errorf("%s %s: %d %s", path, encoding, p.RejectedDataPoints(), p.ErrorMessage())
			}
		}
	}
	s := d.stored()[`{__name__="orders_total", job="shop"}`]
	if s == nil || len(s.T) != 1 || s.T[0] != base || s.V[0] != 1 || s.StartAt(0) != base-5000 {
		t.Fatal(d.stored())
	}
}

// TestOTLPPartialSuccess: refused data points are counted, the others stored.
func TestOTLPPartialSuccess(t *testing.T) {
	d := openDoor(t)
	md := otlpCounter(base, 1000, base+1)
	// A histogram of five series is one data point.
	m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().AppendEmpty()
	m.SetName("latency")
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := m.Histogram().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.Timestamp(2000 * 1e6))
	p.ExplicitBounds().FromRaw([]float64{1, 2})
	p.BucketCounts().FromRaw([]uint64{1, 0, 0})
	p.SetCount(1)
	p.SetSum(1)
	a := otlpAnswer(t, d.do("POST", "/v1/metrics", otlpRequest(t, md), "Content-Type", otlpType))
	if a.RejectedDataPoints() != 2 || !strings.HasPrefix(a.ErrorMessage(), "partial write: 2 written, 6 refused: too old sample") {
		t.Error(a.RejectedDataPoints(), a.ErrorMessage())
	}
	if got := fmt.Sprint(d.storedFloats()); got != fmt.Sprintf(`map[{__name__="orders_total", job="shop"}:map[%d:1 %d:3]]`, base, base+1) {
		t.Error(got)
	}
}

// TestOTLPHistogramsTooLargeForTheLog are rejected data points as well.
func TestOTLPHistogramsTooLargeForTheLog(t *testing.T) {
	d := openDoor(t)
	md := otlpCounter()
	ms := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	m := ms.At(0)
	m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := m.ExponentialHistogram().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.Timestamp(base * 1e6))
	for i := range 60_000 {
		p.Positive().BucketCounts().Append(uint64(i%2) * math.MaxInt32)
	}
	p.SetCount(30_000 * math.MaxInt32)
	a := otlpAnswer(t, d.do("POST", "/v1/metrics", otlpRequest(t, md), "Content-Type", otlpType))
	if a.RejectedDataPoints() != 1 || !strings.Contains(a.ErrorMessage(), "too large for the log") {
		t.Error(a.RejectedDataPoints(), a.ErrorMessage())
	}
}

// TestOTLPErrorsAreStatusMessages: in the form of the request, with the codes by which
// clients decide whether to send it again.
func TestOTLPErrorsAreStatusMessages(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *storage.Options) { o.MaxBodyBytes = 1000 })
	busy := memoryDoor(t, func() *doortest.Memory {
		m := doortest.NewMemory()
		m.OnCommit = func() error { return storage.ErrBusy }
		return m
	}())
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := otlpRequest(t, otlpCounter(base))
	for name, c := range map[string]struct {
		h        http.Handler
		method   string
		body     []byte
		encoding string
		kind     string
		status   int
		code     codes.Code
		text     string
	}{
		"malformed":    {d.mux, "POST", []byte("x"), "", otlpType, 400, codes.InvalidArgument, "malformed protobuf at byte 0"},
		"not gzip":     {d.mux, "POST", good, "gzip", otlpType, 400, codes.InvalidArgument, "decompress gzip body"},
		"not zstd":     {d.mux, "POST", good, "zstd", otlpType, 400, codes.InvalidArgument, "decompress zstd body"},
		"no header":    {d.mux, "POST", e.EncodeAll(good, nil), "", otlpType, 400, codes.InvalidArgument, `send it with "Content-Encoding: zstd"`},
		"encoding":     {d.mux, "POST", good, "br", otlpType, 415, codes.InvalidArgument, `"br" is not supported`},
		"content type": {d.mux, "POST", good, "", "text/plain", 415, codes.InvalidArgument, `"text/plain" is not supported`},
		"too large":    {d.mux, "POST", make([]byte, 2000), "", otlpType, 413, codes.InvalidArgument, "--limit.body"},
		"zstd bomb":    {d.mux, "POST", e.EncodeAll(make([]byte, 1<<20), nil), "zstd", otlpType, 413, codes.InvalidArgument, "--limit.body"},
		"method":       {d.mux, "GET", nil, "", otlpType, 405, codes.Unimplemented, "by POST"},
		"busy":         {busy, "POST", good, "", otlpType, 503, codes.Unavailable, "not accepting writes"},
	} {
		a := do(t, c.h, c.method, "/v1/metrics", c.body, "Content-Type", c.kind, "Content-Encoding", c.encoding)
		var s spb.Status
		if err := proto.Unmarshal([]byte(a.body), &s); err != nil || a.code != c.status || s.Code != int32(c.code) || !strings.Contains(s.Message, c.text) {
			t.Errorf("%s: %d %d %q %v", name, a.code, s.Code, s.Message, err)
		}
		if retry := a.header.Get("Retry-After"); (retry != "") != (c.status == 503) {
			t.Errorf("%s: Retry-After %q", name, retry)
		}
	}
	if n := len(d.stored()); n != 0 {
		t.Errorf("%d series stored", n)
	}
}

// TestOTLPInJSON: requests, answers and errors.
func TestOTLPInJSON(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *storage.Options) { o.MaxBodyBytes = 2000 })
	body := func(md pmetric.Metrics) []byte {
		b, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body     []byte
		encoding string
		status   int
		want     string
	}{
		"stored":  {body(otlpCounter(base)), "", 200, `{}`},
		"zstd":    {e.EncodeAll(body(otlpCounter(base)), nil), "zstd", 200, `{}`},
		"empty":   {[]byte(`{}`), "", 200, `{}`},
		"partial": {body(otlpCounter(1000, base+1)), "", 200, `{"partialSuccess":{"rejectedDataPoints":"1","errorMessage":"partial write: 1 written, 1 refused: too old`},
		"bad":     {[]byte(`{"resourceMetrics":1}`), "", 400, `{"code":3,"message":"decode ExportMetricsServiceRequest in JSON: want an array for \"resourceMetrics\""}`},
		"grows":   {[]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[0` + strings.Repeat(",0", 800) + `]}]}}]}]}]}`), "", 413, `{"code":3,"message":"request body too large: as protobuf it has more than 2000 bytes, the limit of --limit.body"}`},
	} {
		a := d.do("POST", "/v1/metrics", c.body, "Content-Type", "application/json", "Content-Encoding", c.encoding)
		if a.code != c.status || !strings.HasPrefix(a.body, c.want) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	s := d.stored()[`{__name__="orders_total", job="shop"}`]
	if s == nil || len(s.T) != 2 || s.T[0] != base || s.V[0] != 1 || s.StartAt(0) != base-5000 {
		t.Fatal(d.stored())
	}
}

// TestOTLPSettingsCanChange: the same bytes then name other series, and their metadata
// are stored again.
func TestOTLPSettingsCanChange(t *testing.T) {
	d := openDoor(t)
	for i, s := range []otlp.Settings{{}, {TranslationStrategy: "NoTranslation"}, {}} {
		d.in.SetOTLP(s)
		otlpAnswer(t, d.do("POST", "/v1/metrics", otlpRequest(t, otlpCounter(base+int64(i))), "Content-Type", otlpType))
	}
	want := fmt.Sprintf(`map[{__name__="orders", job="shop"}:map[%d:1] {__name__="orders_total", job="shop"}:map[%d:1 %d:1]]`, base+1, base, base+2)
	if got := fmt.Sprint(d.storedFloats()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
