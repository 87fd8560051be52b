package prom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"

	"tsdb/api/prom/promtest"
	"tsdb/internal/await"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/storage"
)

func TestBuildInfoShowsBothVersionsAndNoFeatures(t *testing.T) {
	s := newServer(t, Options{Build: BuildInfo{Own: "0.1", Revision: "abc"}})
	var got map[string]any
	s.get(t, "/status/buildinfo").data(t, &got)
	for name, want := range map[string]string{
		"version": "3.14.0", "tsdbVersion": "0.1", "revision": "abc", "branch": "", "buildUser": "", "buildDate": "", "goVersion": runtime.Version(),
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %q", name, got[name], want)
		}
	}
	if _, ok := got["features"]; ok {
		t.Error("features make Grafana take the server for Mimir")
	}
}

func TestRuntimeInfoDescribesTheProcess(t *testing.T) {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newServer(t, Options{Started: started, Retention: "30d", Clock: vfs.NewManualClock(started.Add(time.Hour))})
	var got runtimeView
	s.get(t, "/status/runtimeinfo").data(t, &got)
	if !got.StartTime.Equal(started) || !got.ServerTime.Equal(started.Add(time.Hour)) || got.StorageRetention != "30d" || got.GOMAXPROCS < 1 || got.GoroutineCount < 1 || got.CWD == "" {
		t.Errorf("got %+v", got)
	}
}

func TestFlagsAndConfigAreShown(t *testing.T) {
	s := newServer(t, Options{
		Flags:  func() map[string]string { return map[string]string{"data": "./data", "http": ":9201"} },
		Config: func() string { return "data: ./data\n" },
	})
	var flags map[string]string
	s.get(t, "/status/flags").data(t, &flags)
	if !reflect.DeepEqual(flags, map[string]string{"data": "./data", "http": ":9201"}) {
		t.Errorf("flags %v", flags)
	}
	var config struct{ YAML string }
	s.get(t, "/status/config").data(t, &config)
	if config.YAML != "data: ./data\n" {
		t.Errorf("config %q", config.YAML)
	}
	bare := newServer(t, Options{})
	if got := bare.get(t, "/status/flags").body; got != `{"status":"success","data":{}}` {
		t.Errorf("no flags: %s", got)
	}
	if got := bare.get(t, "/status/config").body; got != `{"status":"success","data":{"yaml":""}}` {
		t.Errorf("no config: %s", got)
	}
}

func TestCardinalityTablesHaveTheirRows(t *testing.T) {
	s := newServer(t, Options{})
	type row struct {
		Name  string
		Value uint64
	}
	var got struct {
		HeadStats struct {
			NumSeries, NumLabelPairs uint64
			MinTime, MaxTime         int64
		}
		SeriesCountByMetricName, LabelValueCountByLabelName, MemoryInBytesByLabelName, SeriesCountByLabelValuePair []row
	}
	s.get(t, "/status/tsdb").data(t, &got)
	if got.HeadStats.NumSeries != 20 || got.HeadStats.MaxTime/1000 != promtest.End || got.HeadStats.MinTime/1000 != promtest.Start+promtest.Step {
		t.Errorf("head %+v", got.HeadStats)
	}
	if len(got.SeriesCountByMetricName) != 5 || got.SeriesCountByMetricName[0] != (row{"http_requests_total", 6}) {
		t.Errorf("metrics %v", got.SeriesCountByMetricName)
	}
	for _, table := range [][]row{got.LabelValueCountByLabelName, got.MemoryInBytesByLabelName, got.SeriesCountByLabelValuePair} {
		if len(table) == 0 || len(table) > 10 {
			t.Errorf("%d rows", len(table))
		}
	}
	s.get(t, "/status/tsdb", "limit", "2").data(t, &got)
	if len(got.SeriesCountByMetricName) != 2 {
		t.Errorf("metrics with a limit of 2: %v", got.SeriesCountByMetricName)
	}
	// Series in blocks are counted as well.
	inMemory := tables.FindString(s.get(t, "/status/tsdb").body)
	for _, work := range []string{"/admin/flush", "/admin/compact"} {
		s.post(t, work)
		if after := tables.FindString(s.get(t, "/status/tsdb").body); after != inMemory || len(after) < 100 {
			t.Errorf("after %s: %s, before: %s", work, after, inMemory)
		}
	}
}

var tables = regexp.MustCompile(`"seriesCountByMetricName":.*`)

func TestStatusEndpointsHavePrometheusShapes(t *testing.T) {
	s := newServer(t, Options{
		Replay:  func() (int64, int64) { return 30, 20 }, // a log that ended sooner than it is long
		Targets: func() Targets { return Targets{Pools: []string{"a", "b"}} },
	})
	body := func(path, want string) {
		t.Helper()
		if r := s.get(t, path); r.status != 200 || r.body != `{"status":"success","data":`+want+`}` {
			t.Errorf("%s: %d %s, want %s", path, r.status, r.body, want)
		}
	}
	body("/status/walreplay", `{"min":0,"max":20,"current":20}`)
	body("/notifications", `[]`)
	body("/scrape_pools", `{"scrapePools":["a","b"]}`)
	body("/status/tsdb/blocks", `{"blocks":[]}`)
	if r := s.get(t, "/notifications/live"); r.status != http.StatusNoContent || r.body != "" {
		t.Errorf("live notifications: %d %q", r.status, r.body)
	}
	var features map[string]map[string]bool
	r := s.get(t, "/features")
	r.data(t, &features)
	if !features["promql_functions"]["rate"] || features["promql_functions"]["mad_over_time"] || !features["promql_operators"][">="] ||
		!features["promql"]["subqueries"] || !features["api"]["remote_write_receiver"] || !strings.Contains(r.body, `">="`) {
		t.Errorf("features %s", r.body)
	}

	s.post(t, "/admin/flush")
	var listed struct {
		Blocks []struct {
			ULID             string
			MinTime, MaxTime int64
			Stats            struct{ NumSamples, NumSeries, NumChunks uint64 }
			Compaction       struct{ Level int }
			Version          int
		}
	}
	s.get(t, "/status/tsdb/blocks").data(t, &listed)
	if len(listed.Blocks) != 1 {
		t.Fatalf("blocks %+v", listed)
	}
	b := listed.Blocks[0]
	if b.ULID == "" || b.MinTime/1000 != promtest.Start+promtest.Step || (b.MaxTime-1)/1000 != promtest.End || b.Stats.NumSeries != 20 ||
		b.Stats.NumSamples == 0 || b.Stats.NumChunks < 20 || b.Compaction.Level != 1 || b.Version != 1 {
		t.Errorf("block %+v", b)
	}

	empty := newServer(t, Options{})
	if got := empty.get(t, "/scrape_pools").body; got != `{"status":"success","data":{"scrapePools":[]}}` {
		t.Errorf("no targets: %s", got)
	}
}

func TestAdminWorkAnswersWhenItIsDone(t *testing.T) {
	s := newServer(t, Options{})
	type summary struct {
		Blocks int
		Bytes  int64
	}
	var before, after struct {
		Series, Samples uint64
		Blocks          int
		Bytes           int64
		BytesPerSample  float64
		Head            struct{ Series, Samples uint64 }
		WAL             struct{ Bytes int64 }
		Tiers           []struct {
			Tier       string
			Partitions []struct {
				Start, End      string
				Blocks          int
				Series, Samples uint64
				Bytes           int64
			}
		}
	}
	s.get(t, "/status/storage").data(t, &before)
	if before.Head.Samples != 20*240 || before.Blocks != 0 || before.Samples != 20*240 {
		t.Errorf("before: %+v", before)
	}
	var flushed, compacted summary
	s.post(t, "/admin/flush").data(t, &flushed)
	if flushed.Blocks != 1 || flushed.Bytes <= 0 {
		t.Errorf("flushed %+v", flushed)
	}
	s.post(t, "/admin/compact").data(t, &compacted)
	if compacted.Blocks < 1 || compacted.Bytes <= 0 {
		t.Errorf("compacted %+v", compacted)
	}
	s.get(t, "/status/storage").data(t, &after)
	if after.Head.Samples != 0 || after.Samples != 20*240 || after.Series != 20 || after.Blocks != 1 || after.Bytes <= 0 || after.BytesPerSample <= 0 || len(after.Tiers) != 1 || after.Tiers[0].Tier != "raw" {
		t.Errorf("after: %+v", after)
	}
	if p := after.Tiers[0].Partitions; len(p) != 1 || p[0].Samples != 20*240 || p[0].Start != "2026-01-01T00:00:00.001Z" {
		t.Errorf("partitions: %+v", p)
	}
	for _, path := range []string{"/admin/flush", "/admin/compact", "/admin/drop_caches"} {
		if got := s.get(t, path); got.status != http.StatusMethodNotAllowed || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") {
			t.Errorf("GET %s: %d %s", path, got.status, got.header.Get("Content-Type"))
		}
	}
	if got := s.get(t, "/query", "query", "count({__name__!=''})", "time", fmt.Sprint(promtest.End)); !strings.Contains(got.body, `"20"`) {
		t.Errorf("after the merge: %s", got.body)
	}
}

func TestMetadataOfMetrics(t *testing.T) {
	s := newServer(t, Options{})
	b := s.db.NewBatch("test", model.DefaultTenant)
	b.Metadata("b_total", model.Metadata{Type: "counter", Help: `with "quotes"`})
	b.Metadata("a_seconds", model.Metadata{Type: "gauge", Unit: "seconds", Help: "a"})
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	f := func(want string, params ...string) {
		t.Helper()
		if got := s.get(t, "/metadata", params...); got.body != `{"status":"success","data":`+want+`}` {
			t.Errorf("%q: got %s, want %s", params, got.body, want)
		}
	}
	a := `"a_seconds":[{"type":"gauge","unit":"seconds","help":"a"}]`
	both := `{` + a + `,"b_total":[{"type":"counter","unit":"","help":"with \"quotes\""}]}`
	f(both)
	f(both, "limit", "40000")
	f(both, "limit_per_metric", "1")
	f(both, "limit", "-1")
	f(`{`+a+`}`, "limit", "1")
	f(`{}`, "limit", "0")
	f(`{`+a+`}`, "metric", "a_seconds")
	f(`{}`, "metric", "nonesuch")
}

func TestTargetsAreWhatTheServerScrapes(t *testing.T) {
	scraped := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rules := []*relabel.Config{
		{SourceLabels: prommodel.LabelNames{"a"}, Regex: relabel.MustNewRegexp("(.*)"), TargetLabel: "b", Replacement: "$1", Separator: ";", Action: relabel.Replace},
	}
	s := newServer(t, Options{
		RelabelSteps: func(pool string, ls labels.Labels) ([]RelabelStep, error) {
			if pool != "tsdb" {
				return nil, errors.New("no such pool")
			}
			return []RelabelStep{{Rule: rules[0], Output: ls, Keep: true}}, nil
		},
		Targets: func() Targets {
			return Targets{
				Pools: []string{"new", "tsdb"}, DroppedCounts: map[string]int{"new": 2, "tsdb": 0},
				Dropped: []DroppedTarget{{Discovered: labels.FromStrings("__address__", "y:1"), Pool: "new"}},
				Active: []Target{{
					Labels: labels.FromStrings("job", "tsdb"), Discovered: labels.FromStrings("__address__", "x:1"), Pool: "tsdb", URL: "http://x:1/metrics", GlobalURL: "http://h:1/metrics",
					Health: "up", LastScrape: scraped, LastDuration: 2 * time.Millisecond, Interval: "1m", Timeout: "10s",
					Metadata: func() map[string]model.Metadata {
						return map[string]model.Metadata{"up": {Type: "gauge"}, "a": {Type: "counter", Help: "h", Unit: "u"}}
					},
				}, {Labels: labels.FromStrings("job", "new"), Pool: "new", Health: "unknown"}, {Labels: labels.FromStrings("job", "ill"), Pool: "new", Health: "down", LastScrape: scraped, LastError: "refused"}},
			}
		},
	})
	one := `{"discoveredLabels":{"__address__":"x:1"},"labels":{"job":"tsdb"},"scrapePool":"tsdb","scrapeUrl":"http://x:1/metrics","globalUrl":"http://h:1/metrics","lastError":"","lastScrape":"2026-01-01T00:00:00Z","lastScrapeDuration":0.002,"health":"up","scrapeInterval":"1m","scrapeTimeout":"10s"}`
	if got, want := s.get(t, "/targets", "scrapePool", "tsdb").body, `{"status":"success","data":{"activeTargets":[`+one+`],"droppedTargets":[],"droppedTargetCounts":{"new":2,"tsdb":0}}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var all struct{ ActiveTargets []struct{ Health string } }
	s.get(t, "/targets", "state", "active").data(t, &all)
	if len(all.ActiveTargets) != 3 || all.ActiveTargets[1].Health != "unknown" || all.ActiveTargets[2].Health != "down" {
		t.Errorf("active: %v", all)
	}
	if got, want := s.get(t, "/targets", "state", "dropped").body, `{"status":"success","data":{"activeTargets":[],"droppedTargets":[{"discoveredLabels":{"__address__":"y:1"},"scrapePool":"new"}],"droppedTargetCounts":{"new":2,"tsdb":0}}}`; got != want {
		t.Errorf("dropped: %s", got)
	}
	if got := s.get(t, "/targets", "state", "active").body; !strings.HasSuffix(got, `"droppedTargets":[],"droppedTargetCounts":null}}`) {
		t.Errorf("active: %s", got)
	}
	steps := func(status int, want string, params ...string) {
		t.Helper()
		if got := s.get(t, "/targets/relabel_steps", params...); got.status != status || !strings.Contains(got.body, want) {
			t.Errorf("%q: got %d %s, want %d %s", params, got.status, got.body, status, want)
		}
	}
	steps(400, "no scrapePool parameter provided")
	steps(400, "no labels parameter provided", "scrapePool", "tsdb")
	steps(400, "error parsing labels: ", "scrapePool", "tsdb", "labels", "{")
	steps(400, "error retrieving scrape config: no such pool", "scrapePool", "new", "labels", "{}")
	steps(200, `{"steps":[{"rule":{"source_labels":["a"],"separator":";","regex":"(.*)","target_label":"b","replacement":"$1","action":"replace"},"output":{"a":"1"},"keep":true}]}`, "scrapePool", "tsdb", "labels", `{"a":"1"}`)
	meta := func(want string, params ...string) {
		t.Helper()
		if got := s.get(t, "/targets/metadata", params...).body; got != `{"status":"success","data":`+want+`}` {
			t.Errorf("%q: got %s, want %s", params, got, want)
		}
	}
	meta(`[{"target":{"job":"tsdb"},"metric":"a","type":"counter","help":"h","unit":"u"},{"target":{"job":"tsdb"},"metric":"up","type":"gauge","help":"","unit":""}]`)
	meta(`[{"target":{"job":"tsdb"},"type":"gauge","help":"","unit":""}]`, "metric", "up")
	meta(`[]`, "match_target", `{job="other"}`)
	meta(`[{"target":{"job":"tsdb"},"type":"gauge","help":"","unit":""}]`, "match_target", `{job="tsdb"}`, "metric", "up", "limit", "1")
	meta(`[]`, "limit", "0")
}

// TestStartingServerSaysSo: while there is no database, endpoints that need one
// respond with 503 and Retry-After; the others work.
func TestStartingServerSaysSo(t *testing.T) {
	s := newServer(t, Options{DB: func() (*storage.DB, error) {
		return nil, fmt.Errorf("%w: the log is replayed, 40%% done", storage.ErrBusy)
	}})
	for _, path := range []string{
		"/query?query=1", "/query_range?query=1&start=0&end=1&step=1", "/query_exemplars?query=up", "/series?match[]=up", "/labels", "/label/a/values", "/metadata", "/status/tsdb", "/status/storage", "/status/rollups", "/status/jobs",
	} {
		got := s.get(t, path)
		got.want(t, http.StatusServiceUnavailable, "unavailable", "40% done")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	for _, path := range []string{"/admin/flush", "/admin/compact", "/admin/drop_caches"} {
		s.post(t, path).want(t, http.StatusServiceUnavailable, "unavailable", "40% done")
	}
	for _, path := range []string{"/status/buildinfo", "/status/runtimeinfo", "/status/flags", "/status/config", "/rules", "/alerts", "/alertmanagers", "/targets", "/targets/metadata", "/format_query?query=up", "/parse_query?query=up"} {
		if got := s.get(t, path); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	s.get(t, "/query", "query", "up{").want(t, http.StatusServiceUnavailable, "unavailable", "40% done")
}

func TestClosedDatabaseIsUnavailable(t *testing.T) {
	s := newServer(t, Options{})
	if err := s.db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/query?query=up", "/series?match[]=up", "/labels", "/label/a/values", "/metadata", "/query_exemplars?query=up"} {
		s.get(t, path).want(t, http.StatusServiceUnavailable, "unavailable", "closed")
	}
}

// TestOwnRefusals: where the answer differs from Prometheus' it is on purpose: see
// docs/compatibility.md.
func TestOwnRefusals(t *testing.T) {
	s := newServer(t, Options{})
	f := func(path string, status int, part string, params ...string) {
		t.Helper()
		s.get(t, path, params...).want(t, status, "bad_data", part)
	}
	f("/query", 400, "valid timestamp", "query", "1", "time", "NaN")
	f("/query", 400, "valid timestamp", "query", "1", "time", "1e300")
	f("/query_range", 400, "exceeded maximum resolution", "query", "1", "start", minTimeText, "end", maxTimeText, "step", "1y")
	f("/query_range", 400, "zero or negative", "query", "1", "start", "1", "end", "1", "step", "0.0001")
	f("/query_range", 400, "valid duration", "query", "1", "start", "1", "end", "2", "step", "NaN")
	f("/query", 400, "levels deep", "query", strings.Repeat("(", 2000))
	f("/query", 400, "--query.max-text-operators", "query", "1"+strings.Repeat("+1", 6000))
	f("/series", 400, "1001 match[] parameters", slices.Repeat([]string{"match[]", "up"}, 1001)...)
	f("/query?query=%zz", 400, "error parsing form")
	f("/label/%FF/values", 400, "invalid label name")
	f("/label/U__/values", 400, "invalid label name")

	big := s.post(t, "/query", "query", "1 #"+strings.Repeat("x", 11<<20))
	big.want(t, http.StatusRequestEntityTooLarge, "bad_data", "too large")
}

func TestLongQueriesAreAnswered(t *testing.T) {
	s := newServer(t, Options{})
	regexp := `{__name__=~"` + strings.Repeat("nonesuch|", 11_000) + `edge"}`
	if got := s.post(t, "/query", "query", "count("+regexp+")", "time", fmt.Sprint(promtest.End)); got.status != 200 || !strings.Contains(got.body, `"1"`) {
		t.Errorf("a regular expression of 100 kB: %d %s", got.status, clip(got.body))
	}
	garbage := strings.Repeat("\x00{[(\"", 20_000)
	s.post(t, "/query", "query", garbage).want(t, 400, "bad_data", "parse error")
	s.post(t, "/query", "query", strings.Repeat("sum(", 25_000)).want(t, 400, "bad_data", "levels deep")
}

func TestFormsOfManyPartsAreRead(t *testing.T) {
	s := newServer(t, Options{})
	r, err := http.NewRequest(http.MethodPost, s.URL+"/api/v1/query", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n1+1\r\n--b--\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	if got := s.do(t, r); got.status != 200 || !strings.Contains(got.body, `"2"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestErrorsHaveTheirCodes(t *testing.T) {
	f := func(err error, kind string, code int) {
		t.Helper()
		if got := classify(err); got.kind != kind || got.code != code {
			t.Errorf("%v: %s %d, want %s %d", err, got.kind, got.code, kind, code)
		}
	}
	f(query.ErrOverloaded, "unavailable", 503)
	f(storage.ErrBusy, "unavailable", 503)
	f(storage.ErrPoisoned, "unavailable", 503)
	f(fmt.Errorf("expanding series: %w", promql.ErrStorage{Err: errors.New("read chunk raw/x@7: checksum")}), "internal", 500)
	f(promql.ErrQueryTimeout("query execution"), "timeout", 503)
	f(context.DeadlineExceeded, "timeout", 503)
	f(context.Canceled, "canceled", 499)
	f(promql.ErrTooManySamples("query execution"), "execution", 422)
	f(errors.New("many-to-many matching not allowed"), "execution", 422)
	if got := classifyWork(errors.New("disk")); got.kind != "internal" || got.code != 500 {
		t.Errorf("work: %+v", got)
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	engine := query.New(query.Options{})
	s := newServer(t, Options{Engine: engine})
	params := []string{"query", "quantile_over_time(0.5, edge[1h])" + strings.Repeat("+ edge", 500), "start", fmt.Sprint(promtest.Start), "end", fmt.Sprint(promtest.End), "step", "0.33"}
	s.get(t, "/query_range", append(params, "timeout", "0.05")...).want(t, http.StatusServiceUnavailable, "timeout", "query timed out in ")

	// A client that has disconnected sees no code; the log and the metrics do.
	c := promtest.Case{Method: http.MethodGet, Path: "/query_range", Form: map[string][]string{}}
	for i := 0; i < len(params); i += 2 {
		c.Form.Set(params[i], params[i+1])
	}
	r, err := c.Request("")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := contextWithCancel(r)
	w := httptest.NewRecorder()
	time.AfterFunc(30*time.Millisecond, cancel)
	s.Config.Handler.ServeHTTP(w, gone)
	if w.Code != statusClientClosed || !strings.Contains(w.Body.String(), `"errorType":"canceled"`) {
		t.Errorf("canceled: %d %s", w.Code, w.Body)
	}
	if err := engine.Drain(ctx); err != nil {
		t.Error(err)
	}
}

func TestTooManySamplesIsAnExecutionError(t *testing.T) {
	s := newServer(t, Options{Engine: query.New(query.Options{MaxSamples: 10})})
	s.get(t, "/query", "query", "edge[1h]", "time", fmt.Sprint(promtest.End)).want(t, 422, "execution", "too many samples")
}

// TestErrorsOfLimitsNameTheSetting: the error of every limit of a query states the figure
// reached and the setting.
func TestErrorsOfLimitsNameTheSetting(t *testing.T) {
	for name, c := range map[string]struct {
		engine query.Options
		points int
		path   string
		code   int
		kind   string
		says   string
	}{
		"samples":      {query.Options{MaxSamples: 10}, 0, "/query_range", 422, "execution", ", more than the 10 of --query.max-samples"},
		"memory":       {query.Options{MaxBytes: 100}, 0, "/query_range", 422, "execution", " in memory, more than the 100 bytes of --query.max-bytes"},
		"series":       {query.Options{MaxSeries: 1}, 0, "/query", 422, "execution", "series, more than the 1 of --query.max-series"},
		"samples read": {query.Options{MaxRead: 1}, 0, "/query", 422, "execution", " samples, more than the 1 of --query.max-samples-read"},
		"all memory":   {query.Options{TotalBytes: 100}, 0, "/query", 422, "execution", "more than the 100 bytes of --query.max-total-bytes"},
		"points":       {query.Options{}, 20, "/query_range", 400, "bad_data", "query would make 100 points per timeseries, more than the 20 of --query.max-points"},
		"time":         {query.Options{Timeout: time.Nanosecond}, 0, "/query_range", 503, "timeout", "timed out"},
	} {
		s := newServer(t, Options{Engine: query.New(c.engine), MaxPoints: c.points})
		end := fmt.Sprint(promtest.End)
		got := s.get(t, c.path, "query", "http_requests_total", "time", end, "start", fmt.Sprint(promtest.End-1000), "end", end, "step", "10")
		t.Run(name, func(t *testing.T) { got.want(t, c.code, c.kind, c.says) })
		if retry := got.header.Get("Retry-After") != ""; retry {
			t.Errorf("%s: Retry-After is there: %v", name, retry)
		}
	}
}

// TestMemoryThatOthersHoldIsUnavailable: a query that fits the common memory only
// while no other holds it may try again.
func TestMemoryThatOthersHoldIsUnavailable(t *testing.T) {
	engine := query.New(query.Options{TotalBytes: 100_000})
	s := newServer(t, Options{Engine: engine})
	params := []string{"query", "http_requests_total", "start", fmt.Sprint(promtest.End - 1000), "end", fmt.Sprint(promtest.End), "step", "10"}
	var held []promql.Query
	for { // answers that are not closed
		q, err := engine.NewRangeQuery(t.Context(), query.NewQueryable(s.db, model.DefaultTenant), nil, "http_requests_total", time.Unix(promtest.End-1000, 0), time.Unix(promtest.End, 0), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, q)
		if q.Exec(t.Context()).Err != nil {
			break
		}
	}
	if len(held) < 2 {
		t.Fatal("a single query exceeds the common memory")
	}
	got := s.get(t, "/query_range", params...)
	got.want(t, 503, "unavailable", "of --query.max-total-bytes allow: try again later")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for _, q := range held {
		q.Close()
	}
	if got := s.get(t, "/query_range", params...); got.status != 200 {
		t.Errorf("afterwards: %d %s", got.status, clip(got.body))
	}
}

// TestExperimentalFeaturesNameTheirSetting: an experimental feature is refused with
// the name of the setting that enables it.
func TestExperimentalFeaturesNameTheirSetting(t *testing.T) {
	off, on := newServer(t, Options{}), newServer(t, Options{Engine: query.New(query.Options{Parser: promqltest.TestParserOpts})})
	for _, expr := range []string{
		"info(edge)", `sort_by_label(edge, "x")`, `sort_by_label_desc(edge, "x")`, "limitk(1, edge)", "limit_ratio(0.5, edge)",
		"mad_over_time(edge[5m])", "ts_of_max_over_time(edge[5m])", "edge[5m + 1m]", "edge offset (1m * 2)",
		"rate(edge[5m] anchored)", "rate(edge[5m] smoothed)", "edge + fill(0) edge",
	} {
		for _, path := range []string{"/query", "/format_query", "/parse_query", "/explain"} {
			off.get(t, path, "query", expr).want(t, 400, "bad_data", "not enabled: --query.experimental enables it")
			if got := on.get(t, path, "query", expr); got.status != 200 {
				t.Errorf("%s of %s: %d %s", path, expr, got.status, clip(got.body))
			}
		}
	}
}

func TestOverloadIsUnavailable(t *testing.T) {
	engine := query.New(query.Options{MaxConcurrent: 1, MaxQueued: 1})
	s := newServer(t, Options{Engine: engine})
	gone, cancel := contextWithCancel(httptest.NewRequest(http.MethodGet, "/", nil))
	defer cancel()
	if err := engine.Drain(gone.Context()); err != nil { // takes the only slot
		t.Fatal(err)
	}
	waits := make(chan struct{})
	go func() {
		defer close(waits)
		s.get(t, "/query", "query", "1", "timeout", "2").want(t, 503, "timeout", "query queue")
	}()
	await.That(t, "a query waits", func() bool { return engine.Waiting() > 0 })
	got := s.get(t, "/query", "query", "1")
	got.want(t, 503, "unavailable", "too many queries")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	<-waits
}

func TestAnnotationsAreBoundedAndSorted(t *testing.T) {
	var ans answer
	for i := range 25 {
		ans.warnings.Add(fmt.Errorf("block %02d is damaged", i))
	}
	ans.data = stringData(nil)
	w := httptest.NewRecorder()
	if err := writeAnswer(w, ans); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Warnings []string
		Data     []string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) != 11 || got.Warnings[10] != "15 more warning annotations omitted" || !slices.IsSorted(got.Warnings[:10]) || got.Data == nil {
		t.Errorf("got %v", got)
	}
}

// TestPreflightHasNoBodyAndNoCORSHeaders: the CORS headers are set by package api.
func TestPreflightHasNoBodyAndNoCORSHeaders(t *testing.T) {
	s := newServer(t, Options{})
	for _, method := range []string{http.MethodOptions, http.MethodGet} {
		r, err := http.NewRequest(method, s.URL+"/api/v1/query?query=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://grafana.example")
		got := s.do(t, r)
		if got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", method, got.header)
		}
		if method == http.MethodOptions && (got.status != http.StatusNoContent || got.body != "") {
			t.Errorf("preflight: %d %q", got.status, got.body)
		}
	}
}
