package rpc

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"tsdb/api/prom/promtest"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
	"tsdb/storage"
)

const endMs = promtest.End * 1000

// result is a response reassembled from its messages: one text per series with the bits of
// its samples.
type result struct {
	header *tsdbv1.QueryHeader
	series []string
	end    *tsdbv1.QueryEnd
}

// assemble returns the result of a stream and checks the order of its messages.
func assemble(t testing.TB, messages []*tsdbv1.QueryResponse) result {
	t.Helper()
	var r result
	stage := 0
	for i, f := range messages {
		now := 0
		switch x := f.Frame.(type) {
		case *tsdbv1.QueryResponse_Header:
			now, r.header = 1, x.Header
		case *tsdbv1.QueryResponse_Series:
			now = 2
			if int(x.Series.FirstIndex) != len(r.series) {
				t.Errorf("series batch begins at %d, %d have come", x.Series.FirstIndex, len(r.series))
			}
			for _, s := range x.Series.Series {
				r.series = append(r.series, labelText(s))
			}
		case *tsdbv1.QueryResponse_Samples:
			now = 3
			addSamples(r.series, x.Samples)
		case *tsdbv1.QueryResponse_End:
			now, r.end = 4, x.End
		}
		if now < stage || now == 1 && i > 0 {
			t.Fatalf("message %d is out of order", i)
		}
		stage = now
	}
	if r.header == nil || r.end == nil || int(r.header.SeriesCount) != len(r.series) {
		t.Fatalf("incomplete: %v, %d series, %v", r.header, len(r.series), r.end)
	}
	return r
}

func labelText(s *tsdbv1.Series) string {
	var b labels.ScratchBuilder
	for _, l := range s.Labels {
		b.Add(l.Name, l.Value)
	}
	return b.Labels().String()
}

func addSamples(series []string, b *tsdbv1.SampleBatch) {
	for _, c := range b.Columns {
		var text strings.Builder
		text.WriteString(series[c.SeriesIndex])
		for i, v := range c.Values {
			text.WriteString(floatText(c.TimesMs[i], v))
			if len(c.StartTimesMs) > 0 {
				fmt.Fprintf(&text, "(%d)", c.StartTimesMs[i])
			}
		}
		for _, h := range c.Histograms {
			text.WriteString(histogramText(h))
		}
		series[c.SeriesIndex] = text.String()
	}
}

func floatText(t int64, v float64) string { return fmt.Sprintf(" %d:%x", t, math.Float64bits(v)) }

// histogramText returns equal texts for equal histograms.
func histogramText(h *tsdbv1.Histogram) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(h)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(" %d:%x", h.TimeMs, b)
}

// want returns the result of the engine itself.
func (s *server) want(t testing.TB, q promql.Query, err error) []string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	res := q.Exec(t.Context())
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	var all []string
	point := func(t int64, f float64, h *histogram.FloatHistogram) string {
		if h != nil {
			return histogramText(toFloatHistogram(t, h))
		}
		return floatText(t, f)
	}
	switch v := res.Value.(type) {
	case promql.Scalar:
		all = append(all, "{}"+floatText(v.T, v.V))
	case promql.Vector:
		for _, x := range v {
			all = append(all, x.Metric.String()+point(x.T, x.F, x.H))
		}
	case promql.Matrix:
		for _, x := range v {
			text := x.Metric.String()
			for _, p := range x.Floats {
				text += point(p.T, p.F, nil)
			}
			for _, p := range x.Histograms {
				text += point(p.T, 0, p.H)
			}
			all = append(all, text)
		}
	}
	return all
}

func TestResultsAreThoseOfTheEngine(t *testing.T) {
	e := query.New(query.Options{})
	s := newServer(t, Options{Engine: e})
	for _, q := range []string{
		"1e-7", "0/0", "edge", "http_requests_total", "nonesuch", `sort_desc(http_requests_total)`, `rate(http_requests_total[5m])`,
		"latency", `{__name__=~"latency|old_seconds_bucket"}`, `histogram_quantile(0.9, rate(latency{kind!="gauge"}[5m]))`, `{"http.status"}`,
	} {
		at := int64(endMs)
		stream, err := s.Query(t.Context(), &tsdbv1.QueryRequest{Query: q, TimeMs: &at})
		messages, err := all(t, stream, err)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		iq, err := e.NewInstantQuery(t.Context(), s, nil, q, time.UnixMilli(endMs))
		if got, want := assemble(t, messages).series, s.want(t, iq, err); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %.300q\nwant %.300q", q, got, want)
		}
		const start, step = endMs - 1800_000, 15_000
		ranges, err := s.QueryRange(t.Context(), &tsdbv1.QueryRangeRequest{Query: q, StartMs: start, EndMs: endMs, StepMs: step})
		messages, err = all(t, ranges, err)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		rq, err := e.NewRangeQuery(t.Context(), s, nil, q, time.UnixMilli(start), time.UnixMilli(endMs), step*time.Millisecond)
		r := assemble(t, messages)
		if want := s.want(t, rq, err); !reflect.DeepEqual(r.series, want) {
			t.Errorf("%s over a range:\ngot  %.300q\nwant %.300q", q, r.series, want)
		}
		if r.header.ResultType != tsdbv1.ResultType_RESULT_TYPE_MATRIX || r.end.Stats.TotalSeconds <= 0 {
			t.Errorf("%s: %v %v", q, r.header, r.end)
		}
	}
}

func (s *server) instant(t testing.TB, q string, o *tsdbv1.QueryOptions) (result, error) {
	t.Helper()
	at := int64(endMs)
	stream, err := s.Query(t.Context(), &tsdbv1.QueryRequest{Query: q, TimeMs: &at, Options: o})
	messages, err := all(t, stream, err)
	if err != nil {
		return result{}, err
	}
	return assemble(t, messages), nil
}

func TestTypesTextsWarningsAndLimits(t *testing.T) {
	s := newServer(t, Options{})
	must := func(r result, err error) result {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := must(s.instant(t, `"köln"`, nil)); r.header.ResultType != tsdbv1.ResultType_RESULT_TYPE_STRING || r.header.Text != "köln" {
		t.Errorf("string: %v", r.header)
	}
	if r := must(s.instant(t, "1", nil)); r.header.ResultType != tsdbv1.ResultType_RESULT_TYPE_SCALAR || r.end.Stats.Samples != 1 {
		t.Errorf("scalar: %v %v", r.header, r.end)
	}
	if r := must(s.instant(t, "quantile(3, http_requests_total)", nil)); len(r.end.Warnings) != 1 {
		t.Errorf("warnings: %v", r.end)
	}
	if r := must(s.instant(t, "rate(edge[5m])", nil)); len(r.end.Infos) != 1 {
		t.Errorf("infos: %v", r.end)
	}
	r := must(s.instant(t, "http_requests_total", &tsdbv1.QueryOptions{Limit: 2}))
	if len(r.series) != 2 || len(r.end.Warnings) != 1 || r.end.Stats.SamplesRead == 0 || r.end.Stats.PeakSamples == 0 {
		t.Errorf("limit: %v %v", r.series, r.end)
	}
	if r := must(s.instant(t, "http_requests_total offset -1m", &tsdbv1.QueryOptions{LookbackMs: 1000})); len(r.series) != 0 {
		t.Errorf("lookback: %v", r.series)
	}
	if r := must(s.instant(t, `label_replace(vector(1), "x", "a\xffb", "", "")`, nil)); len(r.series) != 1 || !strings.Contains(r.series[0], "\ufffd") {
		t.Errorf("text that is not UTF-8: %q", r.series)
	}
}

// TestLongResultsAreSplitIntoMessages: a long result is sent in many short
// messages.
func TestLongResultsAreSplitIntoMessages(t *testing.T) {
	s := newServer(t, Options{})
	stream, err := s.QueryRange(t.Context(), &tsdbv1.QueryRangeRequest{
		Query: `{__name__=~".+", __name__!="latency"}`, StartMs: endMs - 3600_000, EndMs: endMs, StepMs: 1000,
	})
	messages, err := all(t, stream, err)
	if err != nil {
		t.Fatal(err)
	}
	if r := assemble(t, messages); len(messages) < 4 || r.end.Stats.Samples < 50_000 {
		t.Errorf("%d messages, %v", len(messages), r.end)
	}
}

func TestErrorsHaveTheirCodes(t *testing.T) {
	s := newServer(t, Options{})
	want := func(name string, err error, code codes.Code, text string) {
		t.Helper()
		if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
			t.Errorf("%s: %v, want %v with %q", name, err, code, text)
		}
	}
	_, err := s.instant(t, "up{", nil)
	want("parse error", err, codes.InvalidArgument, "parse error")
	_, err = s.instant(t, `http_requests_total * on (job) http_requests_total`, nil)
	want("many to many", err, codes.FailedPrecondition, "many-to-many")
	_, err = s.instant(t, "1", &tsdbv1.QueryOptions{LookbackMs: -1})
	want("lookback", err, codes.InvalidArgument, "lookback_ms")
	_, err = s.instant(t, "1", &tsdbv1.QueryOptions{Resolution: "1h"})
	want("resolution", err, codes.InvalidArgument, `unknown resolution "1h", want one of auto, raw`)
	_, err = s.instant(t, "1", &tsdbv1.QueryOptions{Resolution: "raw"})
	want("known resolution", err, codes.OK, "")
	_, err = s.Explain(t.Context(), &tsdbv1.ExplainRequest{Query: "1", Options: &tsdbv1.QueryOptions{Resolution: "1h"}})
	want("resolution to explain", err, codes.InvalidArgument, "unknown resolution")
	ranged := func(start, end, step int64) error {
		stream, err := s.QueryRange(t.Context(), &tsdbv1.QueryRangeRequest{Query: "1", StartMs: start, EndMs: end, StepMs: step})
		_, err = all(t, stream, err)
		return err
	}
	want("step", ranged(0, 1, 0), codes.InvalidArgument, "step_ms")
	want("huge step", ranged(0, 1, math.MaxInt64), codes.InvalidArgument, "step_ms")
	want("end", ranged(1, 0, 1), codes.InvalidArgument, "before start_ms")
	want("points", ranged(0, 11_001, 1), codes.InvalidArgument, "11001 points per timeseries, more than the 11000 of --query.max-points")
	want("time", ranged(math.MinInt64, 0, 1), codes.InvalidArgument, "between the years")

	small := newServer(t, Options{Engine: query.New(query.Options{MaxSamples: 3})})
	_, err = small.instant(t, "http_requests_total", nil)
	want("samples", err, codes.ResourceExhausted, "too many samples")
	for limit, o := range map[string]query.Options{
		"more than the 100 bytes of --query.max-bytes": {MaxBytes: 100}, "more than the 2 of --query.max-series": {MaxSeries: 2},
		"more than the 2 of --query.max-samples-read": {MaxRead: 2},
	} {
		_, err = newServer(t, Options{Engine: query.New(o)}).instant(t, "http_requests_total", nil)
		want(limit, err, codes.ResourceExhausted, limit)
		if details := status.Convert(err).Details(); len(details) != 0 {
			t.Errorf("%s: details %v", limit, details)
		}
	}
	_, err = newServer(t, Options{Engine: query.New(query.Options{TotalBytes: 100})}).instant(t, "http_requests_total", nil)
	want("memory of all", err, codes.ResourceExhausted, "more than the 100 bytes of --query.max-total-bytes")
	if details := status.Convert(err).Details(); len(details) != 0 {
		t.Errorf("a query that never fits has details %v", details)
	}
	shared := query.New(query.Options{TotalBytes: 20_000, Cores: 1})
	busy := newServer(t, Options{Engine: shared})
	for err = nil; err == nil; { // responses that are not closed
		q, bad := shared.NewInstantQuery(t.Context(), query.NewQueryable(busy.DB, model.DefaultTenant), nil, "http_requests_total", time.UnixMilli(endMs))
		if bad != nil {
			t.Fatal(bad)
		}
		t.Cleanup(q.Close)
		err = q.Exec(t.Context()).Err
	}
	// Needs more than the query that did not fit any more, and fits alone.
	twice := "http_requests_total or (http_requests_total offset 1s)"
	if _, err := newServer(t, Options{Engine: query.New(query.Options{TotalBytes: 20_000, Cores: 1})}).instant(t, twice, nil); err != nil {
		t.Fatal(err)
	}
	_, err = busy.instant(t, twice, nil)
	want("memory that others hold", err, codes.ResourceExhausted, "of --query.max-total-bytes allow: try again later")
	if details := status.Convert(err).Details(); len(details) != 1 || details[0].(*errdetails.RetryInfo).RetryDelay.AsDuration() != time.Second {
		t.Errorf("details %v", details)
	}
	slow := newServer(t, Options{Engine: query.New(query.Options{Timeout: time.Nanosecond})})
	_, err = slow.instant(t, "http_requests_total", nil)
	want("timeout", err, codes.DeadlineExceeded, "timed out")

	starting := newServer(t, Options{DB: func() (*storage.DB, error) { return nil, storage.ErrBusy }})
	_, err = starting.instant(t, "1", nil)
	want("starting", err, codes.Unavailable, "not accepting")
	if details := status.Convert(err).Details(); len(details) != 1 || details[0].(*errdetails.RetryInfo).RetryDelay.AsDuration() != time.Second {
		t.Errorf("details %v", details)
	}
	stream, err := starting.Series(t.Context(), &tsdbv1.SeriesRequest{Selectors: []string{"up"}})
	_, err = all(t, stream, err)
	want("starting", err, codes.Unavailable, "not accepting")
	_, err = starting.Explain(t.Context(), &tsdbv1.ExplainRequest{Query: "up"})
	want("starting", err, codes.Unavailable, "not accepting")
}

// TestQueriesEndWithTheirClients: a query stops when its client disconnects or the
// deadline passes.
func TestQueriesEndWithTheirClients(t *testing.T) {
	e := query.New(query.Options{})
	s := newServer(t, Options{Engine: e})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	// This would take minutes.
	stream, err := s.QueryRange(ctx, &tsdbv1.QueryRangeRequest{StartMs: endMs - 600_000, EndMs: endMs, StepMs: 100,
		Query: `quantile_over_time(0.5, sum by (job) (rate(http_requests_total[50m]))[50m:10ms])`})
	_, err = all(t, stream, err)
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := e.Drain(soon); err != nil {
		t.Errorf("the query goes on: %v", err)
	}
}
