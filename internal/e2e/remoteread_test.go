package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// remoteReadQueries are asked of a Prometheus that has no samples itself.
var remoteReadQueries = []string{
	`requests_total`,
	`{__name__!=""}`,
	`rate(requests_total[5m])`,
	`sum by (path) (rate(requests_total{path=~"/[ab]"}[2m]))`,
	`requests_total{path!="/a"}`,
	`requests_total{path!~"/a|/b", host="h1"}`,
	`topk(2, requests_total) - requests_total offset 5m`,
	`max_over_time(requests_total[10m:1m])`,
	`latency`,
	`histogram_quantile(0.9, sum(rate(latency[5m])))`,
	`histogram_count(latency{kind="float"})`,
	`absent(requests_total{path="/nonesuch"})`,
	`count({__name__=~".+"})`,
}

// A Prometheus 3.14 without samples that reads from this server gives the same answers
// as one that holds the samples itself; /federate exposes the same samples too.
func TestPrometheusReadsRemotely(t *testing.T) {
	t.Parallel()
	client := newHTTPClient(t)
	tsdb := newServer(t, t.TempDir())
	tsdb.start(t)
	tsdb.waitReady(t)
	reference := startPrometheus(t, "prometheus-3.14", loopback.FreeAddr(t), "global: {}\n", "--web.enable-remote-write-receiver")

	end := time.Now().Truncate(time.Second)
	body := s2.EncodeSnappy(nil, remoteReadData(t, end))
	for _, base := range []string{tsdb.url(), reference.url} {
		r, err := send(t.Context(), client, base+"/api/v1/write", body, http.Header{
			"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"},
		})
		if err != nil || !r.acknowledged() {
			t.Fatalf("write to %s: %v %+v", base, err, r)
		}
	}
	compareFederation(t, client, tsdb.url(), reference.url)

	reader := startPrometheus(t, "prometheus-3.14", loopback.FreeAddr(t), readmeSnippet(t, "remote-read", tsdb.addr))
	span := url.Values{"start": {seconds(end.Add(-time.Hour))}, "end": {seconds(end)}, "step": {"30"}}
	compare := func() {
		t.Helper()
		for _, q := range remoteReadQueries {
			span.Set("query", q)
			sameAnswer(t, client, reader.url, reference.url, "/api/v1/query_range", span)
			sameAnswer(t, client, reader.url, reference.url, "/api/v1/query", url.Values{"query": {q}, "time": {seconds(end)}})
		}
		sameAnswer(t, client, reader.url, reference.url, "/api/v1/query", url.Values{"query": {`{__name__!=""}[1h]`}, "time": {seconds(end)}})
		sameAnswer(t, client, reader.url, reference.url, "/api/v1/series", url.Values{"match[]": {`requests_total`}, "start": span["start"], "end": span["end"]})
	}
	compare()
	tsdb.post(t, "/api/v1/admin/compact")
	compare()
	writeAndRead(t, client, tsdb)
	tsdb.noPanic(t)
}

// writeAndRead checks that a Prometheus that sends its samples to this server and reads
// them back shows every sample once, although it also holds them itself.
func writeAndRead(t *testing.T, c *http.Client, tsdb *server) {
	t.Helper()
	addr := loopback.FreeAddr(t)
	both := startPrometheus(t, "prometheus-3.14", addr, "global:\n  scrape_interval: 1s\n  scrape_timeout: 900ms\n"+
		readmeSnippet(t, "prometheus-v2", tsdb.addr)+readmeSnippet(t, "remote-read", tsdb.addr)+
		"scrape_configs:\n  - job_name: self\n    static_configs:\n      - targets: ['"+addr+"']\n")
	await.That(t, "five scrapes have been written", func() bool {
		v := queryVector(t, c, tsdb.url(), `count_over_time(up{job="self"}[1m])`, time.Now())
		return len(v) == 1 && v[0].Value.v >= 5
	})
	// All earlier scrapes have arrived completely.
	at := time.UnixMilli(int64(1000 * queryVector(t, c, tsdb.url(), `timestamp(up{job="self"})`, time.Now())[0].Value.v))
	for _, q := range []string{`up{job="self"}[1m]`, `count_over_time(up{job="self"}[1m])`, `requests_total`} {
		sameAnswer(t, c, both.url, tsdb.url(), "/api/v1/query", url.Values{"query": {q}, "time": {seconds(at)}})
	}
}

// remoteReadData is a request of remote write 1 with an hour of samples that
// end at end: floats and native histograms of every kind.
func remoteReadData(t *testing.T, end time.Time) []byte {
	t.Helper()
	const step, n = 15 * time.Second, 240
	at := func(i int) int64 { return end.Add(-time.Duration(n-1-i) * step).UnixMilli() }
	series := func(ls ...string) prompb.TimeSeries {
		var s prompb.TimeSeries
		for i := 0; i < len(ls); i += 2 {
			s.Labels = append(s.Labels, prompb.Label{Name: ls[i], Value: ls[i+1]})
		}
		return s
	}
	var req prompb.WriteRequest
	for h := range 3 {
		for p, path := range []string{"/a", "/b", "/ü"} {
			s := series("__name__", "requests_total", "host", fmt.Sprint("h", h), "path", path)
			for i := range n {
				s.Samples = append(s.Samples, prompb.Sample{Timestamp: at(i) + int64(h), Value: float64(i*(h+1)) + 0.1*float64(p)})
			}
			req.Timeseries = append(req.Timeseries, s)
		}
	}
	custom := series("__name__", "latency", "instance", "i", "kind", "custom")
	for i, h := range tsdbutil.GenerateTestCustomBucketsHistograms(n) {
		custom.Histograms = append(custom.Histograms, prompb.FromIntHistogram(at(i), h))
	}
	floats := series("__name__", "latency", "kind", "float")
	for i, h := range tsdbutil.GenerateTestFloatHistograms(n) {
		floats.Histograms = append(floats.Histograms, prompb.FromFloatHistogram(at(i), h))
	}
	gauges := series("__name__", "latency", "kind", "gauge")
	for i, h := range tsdbutil.GenerateTestGaugeHistograms(n) {
		gauges.Histograms = append(gauges.Histograms, prompb.FromIntHistogram(at(i), h))
	}
	ints := series("__name__", "latency", "kind", "int")
	for i, h := range tsdbutil.GenerateTestHistograms(n) {
		ints.Histograms = append(ints.Histograms, prompb.FromIntHistogram(at(i), h))
	}
	req.Timeseries = append(req.Timeseries, custom, floats, gauges, ints)
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// compareFederation compares the expositions of two servers line by line, regardless of
// the order of series of one metric.
func compareFederation(t *testing.T, c *http.Client, got, want string) {
	t.Helper()
	ask := func(base, accept string, selectors []string) (code int, kind string, lines []string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, base+"/federate?"+url.Values{"match[]": selectors}.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		kind = resp.Header.Get("Content-Type")
		if resp.StatusCode == http.StatusOK && strings.Contains(kind, "delimited") {
			return resp.StatusCode, kind, families(t, resp)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) { // the text form of protobuf has one space or two, by program
			lines = append(lines, strings.Join(strings.Fields(line), " ")+"\n")
		}
		slices.Sort(lines)
		return resp.StatusCode, kind, lines
	}
	for _, accept := range []string{
		"", "text/plain;version=0.0.4", "text/plain;version=1.0.0;escaping=allow-utf-8", "application/openmetrics-text;version=1.0.0",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
	} {
		for _, selectors := range [][]string{
			{`{__name__!=""}`}, {`requests_total{host="h1"}`, `requests_total{path="/a"}`}, {`latency`}, {`nonesuch`}, nil, {`{}`}, {`up{`},
		} {
			codeGot, kindGot, linesGot := ask(got, accept, selectors)
			codeWant, kindWant, linesWant := ask(want, accept, selectors)
			if codeGot != codeWant || kindGot != kindWant || !slices.Equal(linesGot, linesWant) {
				t.Errorf("federate %q as %q: %d %q\n%.1500s\nwant %d %q\n%.1500s", selectors, accept,
					codeGot, kindGot, strings.Join(linesGot, ""), codeWant, kindWant, strings.Join(linesWant, ""))
			}
		}
	}
}

// families reads an exposition in protobuf: a text for every metric of every
// family.
func families(t *testing.T, resp *http.Response) []string {
	t.Helper()
	var all []string
	for d := expfmt.NewDecoder(resp.Body, expfmt.ResponseFormat(resp.Header)); ; {
		var f dto.MetricFamily
		if err := d.Decode(&f); err != nil {
			if err != io.EOF {
				t.Fatal(err)
			}
			return slices.Sorted(slices.Values(all))
		}
		for _, m := range f.Metric {
			all = append(all, fmt.Sprintf("%s %s %s\n", f.GetName(), f.GetType(), strings.Join(strings.Fields(m.String()), " ")))
		}
	}
}
