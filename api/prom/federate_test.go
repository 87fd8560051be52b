package prom

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tsdb/api/prom/promtest"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

func (s *server) federate(t *testing.T, accept string, selectors ...string) reply {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.URL+"/federate?"+url.Values{"match[]": selectors}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	return s.do(t, r)
}

// TestFederationShowsTheNewestSamples: the comparison with Prometheus is in
// internal/e2e; here the clock can be set.
func TestFederationShowsTheNewestSamples(t *testing.T) {
	at := func(seconds int64) *server {
		return newServer(t, Options{Clock: vfs.NewManualClock(time.Unix(seconds, 0))})
	}
	want := func(r reply, body string) {
		t.Helper()
		if r.status != http.StatusOK || r.body != body {
			t.Errorf("got %d %q, want %q", r.status, r.body, body)
		}
	}
	now := at(promtest.End)
	want(now.federate(t, "", `http_requests_total{job="api",code=~"2..|5.."}`, `http_requests_total{code="200",job="api"}`), ""+
		"# TYPE http_requests_total untyped\n"+
		`http_requests_total{code="200",instance="api:80",job="api"} 37.75 1767229200000`+"\n"+
		`http_requests_total{code="500",instance="api:80",job="api"} 453.75 1767229200000`+"\n")
	want(now.federate(t, "", `{"http.status",room="4"}`), "# TYPE http_status untyped\n"+
		`http_status{room="4",service_name="x",instance=""} 5 1767229200000`+"\n")
	if r := now.federate(t, "", `latency`); strings.Contains(r.body, `kind="int"`) || !strings.Contains(r.body, `latency_bucket{kind="custom",instance="",le="+Inf"}`) {
		t.Errorf("text of histograms: %s", r.body)
	}
	if r := now.federate(t, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", `latency`); strings.Count(r.body, "schema:") != 3 || !strings.Contains(r.body, "GAUGE_HISTOGRAM") {
		t.Errorf("protobuf of histograms: %s", r.body)
	}
	want(now.federate(t, "", "nonesuch"), "")
	want(now.federate(t, ""), "")
	want(now.federate(t, "", "{}"), "")

	// A sample is shown up to the lookback after its time, and not after a
	// stale marker.
	if r := at(promtest.End+300).federate(t, "", "http_requests_total"); strings.Count(r.body, "\n") != 7 {
		t.Errorf("at the end of the lookback: %s", r.body)
	}
	want(at(promtest.End+301).federate(t, "", "http_requests_total"), "")
	stale := promtest.Start + 20*promtest.Step
	if r := at(stale).federate(t, "", "edge"); !strings.Contains(r.body, "edge{") {
		t.Errorf("before the stale marker: %q", r.body)
	}
	want(at(stale+1).federate(t, "", "edge"), "")
}

func TestFederationRefusesInPlainText(t *testing.T) {
	s := newServer(t, Options{})
	want := func(r reply, status int, text string) {
		t.Helper()
		if r.status != status || !strings.Contains(r.body, text) || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
			t.Errorf("got %d %q %q, want %d %q", r.status, r.header.Get("Content-Type"), r.body, status, text)
		}
	}
	want(s.federate(t, "", "up{"), 400, "unexpected end of input inside braces")
	want(s.federate(t, "", make([]string, maxSelectors+1)...), 400, "1001 match[] parameters")
	busy := newServer(t, Options{DB: func() (*storage.DB, error) { return nil, storage.ErrBusy }})
	want(busy.federate(t, "", "up"), 503, "not accepting")
}
