package rpc

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/zeebo/xxh3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tsdb/api/prom/promtest"
	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
)

func (s *server) raw(t testing.TB, r *tsdbv1.SeriesRequest) (series []string, end *tsdbv1.QueryEnd, messages int) {
	t.Helper()
	stream, err := s.Series(t.Context(), r)
	all, err := all(t, stream, err)
	if err != nil {
		t.Fatal(err)
	}
	samples := false
	for _, f := range all {
		switch x := f.Frame.(type) {
		case *tsdbv1.SeriesResponse_Series:
			if samples || int(x.Series.FirstIndex) != len(series) {
				t.Error("series out of order")
			}
			for _, s := range x.Series.Series {
				series = append(series, labelText(s))
			}
		case *tsdbv1.SeriesResponse_Samples:
			samples = true
			addSamples(series, x.Samples)
		case *tsdbv1.SeriesResponse_End:
			end = x.End
		}
	}
	if end == nil {
		t.Fatal("no end")
	}
	return series, end, len(all)
}

// stored returns the samples of the database.
func (s *server) stored(t testing.TB, tr model.TimeRange, ms ...*labels.Matcher) []string {
	t.Helper()
	v, err := s.DB.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	set, err := v.Select(t.Context(), model.DefaultTenant, tr, ms...)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range set.Len() {
		var x model.Samples
		if err := set.At(i).Samples(context.Background(), tr, &x); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		text.WriteString(set.At(i).Labels.String())
		for k := range x.Len() {
			switch h := x.HistogramAt(k); {
			case !h.IsZero():
				text.WriteString(histogramText(toHistogram(x.T[k], x.StartAt(k), h)))
			default:
				text.WriteString(floatText(x.T[k], x.V[k]))
				if len(x.ST) > 0 {
					fmt.Fprintf(&text, "(%d)", x.StartAt(k))
				}
			}
		}
		all = append(all, text.String())
	}
	return all
}

func TestSeriesReturnsStoredSamples(t *testing.T) {
	s := newServer(t, Options{})
	everything := labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "")
	for range 2 {
		for _, span := range [][2]int64{{math.MinInt64, math.MaxInt64}, {0, endMs}, {endMs - 1000_000, endMs - 500_000}, {endMs, endMs}, {1, 0}} {
			got, end, _ := s.raw(t, &tsdbv1.SeriesRequest{Selectors: []string{`{__name__!=""}`}, StartMs: span[0], EndMs: span[1]})
			want := s.stored(t, inclusive(span[0], span[1]), everything)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v:\ngot  %d %.300q\nwant %d %.300q", span, len(got), got, len(want), want)
			}
			if int(end.Stats.Series) != len(want) {
				t.Errorf("stats %v", end.Stats)
			}
		}
		if _, err := s.DB.Flush(t.Context()); err != nil { // then from blocks
			t.Fatal(err)
		}
	}

	got, _, _ := s.raw(t, &tsdbv1.SeriesRequest{Selectors: []string{`http_requests_total{job="api"}`, `edge`, `http_requests_total{code="200"}`}, EndMs: endMs, LabelsOnly: true})
	want := []string{
		`{__name__="edge"}`, `{__name__="http_requests_total", code="200", instance="api:80", job="api"}`,
		`{__name__="http_requests_total", code="200", instance="web:80", job="web"}`,
		`{__name__="http_requests_total", code="404", instance="api:80", job="api"}`,
		`{__name__="http_requests_total", code="500", instance="api:80", job="api"}`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("union: %q", got)
	}
}

// TestLongSeriesAreSplitIntoMessages: a long series is read in several time spans
// and sent in several messages, with its start timestamps.
func TestLongSeriesAreSplitIntoMessages(t *testing.T) {
	s := newServer(t, Options{})
	b := s.DB.NewBatch("test", model.DefaultTenant)
	h := xxh3.HashString128("long")
	ref, err := b.Resolve(model.Hash{Hi: h.Hi, Lo: h.Lo}, labels.FromStrings("__name__", "long"))
	if err != nil {
		t.Fatal(err)
	}
	const n, step = 400_000, 4000
	for i := range int64(n) {
		b.Float(ref, promtest.Start*1000+i*step, 17, 1/float64(i+1))
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, end, messages := s.raw(t, &tsdbv1.SeriesRequest{Selectors: []string{"long"}, StartMs: math.MinInt64, EndMs: math.MaxInt64})
	want := s.stored(t, inclusive(math.MinInt64, math.MaxInt64), labels.MustNewMatcher(labels.MatchEqual, "__name__", "long"))
	if !reflect.DeepEqual(got, want) || end.Stats.Samples != n || messages < n*floatBytes/MaxMessageBytes {
		t.Errorf("%d messages, %v, equal: %v", messages, end, reflect.DeepEqual(got, want))
	}
}

func (s *server) names(t testing.TB, r *tsdbv1.LabelNamesRequest) (list, warnings []string, messages int) {
	t.Helper()
	stream, err := s.LabelNames(t.Context(), r)
	return listed(t, stream, err)
}

func listed(t testing.TB, stream interface {
	Recv() (*tsdbv1.LabelsResponse, error)
}, err error) (list, warnings []string, messages int) {
	t.Helper()
	got, err := all(t, stream, err)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got {
		list, warnings = append(list, f.Values...), append(warnings, f.Warnings...)
	}
	return list, warnings, len(got)
}

func TestLabelsAreListed(t *testing.T) {
	s := newServer(t, Options{})
	values := func(r *tsdbv1.LabelValuesRequest) ([]string, []string, int) {
		stream, err := s.LabelValues(t.Context(), r)
		return listed(t, stream, err)
	}
	equal := func(got []string, want ...string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	got, _, _ := s.names(t, &tsdbv1.LabelNamesRequest{})
	equal(got, "__name__", "code", "instance", "job", "kind", "le", "room", "service.name")
	got, _, _ = s.names(t, &tsdbv1.LabelNamesRequest{Selectors: []string{"latency", `{job="api"}`}})
	equal(got, "__name__", "code", "instance", "job", "kind")
	got, warnings, _ := s.names(t, &tsdbv1.LabelNamesRequest{Limit: 2})
	equal(got, "__name__", "code")
	equal(warnings, "results truncated due to limit")
	got, _, _ = values(&tsdbv1.LabelValuesRequest{Name: "code"})
	equal(got, "200", "404", "500")
	got, _, _ = values(&tsdbv1.LabelValuesRequest{Name: "nonesuch"})
	equal(got)
	before := int64(1)
	got, _, _ = values(&tsdbv1.LabelValuesRequest{Name: "code", EndMs: &before})
	equal(got)
	stream, err := s.LabelNames(t.Context(), &tsdbv1.LabelNamesRequest{Selectors: []string{"{}"}})
	if _, err = all(t, stream, err); status.Code(err) != codes.InvalidArgument {
		t.Errorf("empty matchers: %v", err)
	}
}

func TestLongListsAreSplitIntoMessages(t *testing.T) {
	var sent []*tsdbv1.LabelsResponse
	list := make([]string, 300)
	for i := range list {
		list[i] = fmt.Sprintf("%08d%0*d", i, 16<<10, 0)
	}
	if err := sendStrings(labelSink{sent: &sent}, list, []string{"w"}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, f := range sent {
		n += len(f.Values)
		if (len(f.Warnings) > 0) != (i == len(sent)-1) {
			t.Errorf("message %d has warnings %v", i, f.Warnings)
		}
	}
	if n != len(list) || len(sent) < 4 {
		t.Errorf("%d strings in %d messages", n, len(sent))
	}
}

func TestExplainCountsWithoutReading(t *testing.T) {
	s := newServer(t, Options{})
	start, end := int64(endMs-600_000), int64(endMs)
	ask := func() []*tsdbv1.SelectorCost {
		t.Helper()
		got, err := s.Explain(t.Context(), &tsdbv1.ExplainRequest{
			Query: `sum(rate(http_requests_total[5m] offset 1m)) / count(edge)`, StartMs: &start, EndMs: &end,
		})
		if err != nil || len(got.Selectors) != 2 || len(got.Warnings) != 0 {
			t.Fatalf("%v %v", got, err)
		}
		return got.Selectors
	}
	rate := ask()[0]
	if rate.Series != 6 || rate.Chunks != 0 || rate.StartMs != start-360_000+1 || rate.EndMs != end-60_000 {
		t.Errorf("in memory: %v", rate)
	}
	// 15 s apart: 60 in 15 minutes.
	if rate.Samples != 6*60 || rate.Bytes == 0 {
		t.Errorf("in memory: %v", rate)
	}
	if _, err := s.DB.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range ask() {
		// Of the chunk of an hour that each series has, the samples in the range count.
		if c.Samples != c.Series*60 || c.Chunks < c.Series || c.Blocks < 1 || c.Bytes == 0 || c.Bytes > 16*c.Samples {
			t.Errorf("in blocks: %v", c)
		}
	}
	_, err := s.Explain(t.Context(), &tsdbv1.ExplainRequest{Query: "up{"})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("parse error: %v", err)
	}
}

// TestSeriesAndLabelsOfARange: neither a series that ended before the range nor its
// labels are listed.
func TestSeriesAndLabelsOfARange(t *testing.T) {
	s := newServer(t, Options{})
	b := s.DB.NewBatch("test", model.DefaultTenant)
	for i, pod := range []string{"gone", "live"} {
		ref, err := b.Resolve(model.Hash{Hi: 77, Lo: uint64(i)}, labels.FromStrings("__name__", "old_v", "pod", pod))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, (promtest.End-int64(1-i)*4*3600)*1000, 0, 1)
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	start, end := int64(promtest.End-600)*1000, int64(promtest.End)*1000
	series, _, _ := s.raw(t, &tsdbv1.SeriesRequest{Selectors: []string{"old_v"}, StartMs: start, EndMs: end, LabelsOnly: true})
	if len(series) != 1 || !strings.Contains(series[0], "live") {
		t.Errorf("series %q", series)
	}
	stream, err := s.LabelValues(t.Context(), &tsdbv1.LabelValuesRequest{Name: "pod", Selectors: []string{"old_v"}, StartMs: &start, EndMs: &end})
	messages, err := all(t, stream, err)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, f := range messages {
		values = append(values, f.Values...)
	}
	if !reflect.DeepEqual(values, []string{"live"}) {
		t.Errorf("values %q", values)
	}
}

// TestDamageIsAWarningOfSeriesAndLabels: if a block cannot be read, raw series and
// labels are returned with warnings that name it.
func TestDamageIsAWarningOfSeriesAndLabels(t *testing.T) {
	doctortest.Damages(t, "it damages a block to see it named")
	s := newServer(t, Options{})
	if _, err := s.DB.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.DB.DropCaches()
	names, err := s.FS.List("data/l0")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := s.FS.OpenReadWrite("data/l0/" + names[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("\xa5", 1<<20)), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, end, _ := s.raw(t, &tsdbv1.SeriesRequest{Selectors: []string{`{__name__=~".+"}`}, EndMs: math.MaxInt64})
	if len(end.Warnings) == 0 || !strings.Contains(end.Warnings[0], names[0]) {
		t.Errorf("warnings of series: %q", end.Warnings)
	}
	stream, err := s.LabelNames(t.Context(), &tsdbv1.LabelNamesRequest{})
	messages, err := all(t, stream, err)
	if err != nil {
		t.Fatal(err)
	}
	if w := messages[len(messages)-1].Warnings; len(w) == 0 || !strings.Contains(w[0], names[0]) {
		t.Errorf("warnings of label names: %q", w)
	}
}
