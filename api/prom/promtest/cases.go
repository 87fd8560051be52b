package promtest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Case is one request.
type Case struct {
	Name   string
	Method string
	Path   string // below /api/v1, escaped
	Form   url.Values
	Header http.Header
}

// Request returns the request to a server, whose address is base. Parameters
// are in the URL of a GET and in the body of a POST.
func (c Case) Request(base string) (*http.Request, error) {
	target, body := base+"/api/v1"+c.Path, ""
	if c.Method == http.MethodPost {
		body = c.Form.Encode()
	} else if len(c.Form) > 0 {
		target += "?" + c.Form.Encode()
	}
	r, err := http.NewRequest(c.Method, target, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("request of case %q: %w", c.Name, err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range c.Header {
		r.Header[k] = v
	}
	return r, nil
}

// Cases are the requests whose answers equal Prometheus' own.
func Cases() []Case {
	var cs cases
	cs.instantQueries()
	cs.rangeQueries()
	cs.badQueries()
	cs.listings()
	cs.expressions()
	cs.constants()
	return cs
}

type cases []Case

// get adds a GET with params, alternating names and values.
func (cs *cases) get(name, path string, params ...string) {
	cs.add(http.MethodGet, name, path, params)
}

func (cs *cases) post(name, path string, params ...string) {
	cs.add(http.MethodPost, name, path, params)
}

func (cs *cases) add(method, name, path string, params []string) {
	form := url.Values{}
	for i := 0; i < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	*cs = append(*cs, Case{Name: name, Method: method, Path: path, Form: form})
}

var (
	end  = fmt.Sprint(End)
	late = fmt.Sprint(End - 600)
)

func (cs *cases) instantQueries() {
	q := func(name, expr string, more ...string) {
		cs.get("query: "+name, "/query", append([]string{"query", expr, "time", end}, more...)...)
	}
	cs.post("query: health check", "/query", "query", "1+1", "time", "4")
	q("scalar", "1e-7")
	q("scalar that is no number", "0/0")
	q("scalar of 1e22", "1e22")
	cs.get("query: scalar at a broken second", "/query", "query", "1", "time", "1.5")
	cs.get("query: string", "/query", "query", `"f\"oo"`, "time", "0.002")
	q("vector", "http_requests_total")
	cs.post("query: vector by form", "/query", "query", "http_requests_total", "time", end)
	cs.get("query: time in RFC 3339", "/query", "query", "count(http_requests_total)", "time", "2026-01-01T00:59:07.5Z")
	cs.get("query: time with milliseconds", "/query", "query", "edge", "time", fmt.Sprint(End-61)+".123")
	cs.get("query: time with more digits", "/query", "query", "vector(1)", "time", "1767229200.0006")
	cs.get("query: negative time", "/query", "query", "vector(1)", "time", "-1.001")
	cs.get("query: before all samples", "/query", "query", "http_requests_total", "time", "1")
	q("no such series", "nonesuch")
	q("matrix", "http_requests_total{job=\"api\"}[1m]")
	q("matrix of edges", "edge[6m]")
	q("matrix of histograms", "latency[30s]")
	q("empty matrix", "nonesuch[5m]")
	q("histograms", "latency")
	q("negated histogram", "-latency{kind=\"int\"}")
	q("names that are not ASCII", `{"http.status"}`)
	q("selector by a name that is not ASCII", `{"http.status", "service.name"="köln"}`)
	q("invalid UTF-8", `label_replace(vector(1), "x", "a\xffb", "", "")`)
	q("order of sort_desc", "sort_desc(http_requests_total)")
	q("order of sort", "sort(http_requests_total)")
	q("topk", "topk(2, http_requests_total)")
	q("rate", "rate(http_requests_total[5m])")
	q("duration as Grafana writes it", "sum(rate(http_requests_total[1m0s]))")
	q("at end", "http_requests_total{code=\"200\"} @ end()")
	q("offset", "http_requests_total offset -5m")
	q("subquery", "max_over_time(sum(http_requests_total)[10m:1m])")
	q("subquery of default step", "count_over_time(sum(http_requests_total)[10m:])")
	q("quantile of classic buckets", "histogram_quantile(0.9, rate(old_seconds_bucket[5m]))")
	q("quantile of native histograms", "histogram_quantile(0.9, rate(latency{kind!=\"gauge\"}[5m]))")
	q("edge", "edge")
	cs.get("query: time of a stale marker", "/query", "query", "edge", "time", fmt.Sprintf("%d.019", Start+20*Step))
	q("warning with position", "rate(latency{kind=\"gauge\"}[5m])")
	q("info with position", "rate(edge[5m])")
	q("warning of a quantile", "quantile(3, http_requests_total)")
	q("warning in a second line", "sum(\n  quantile(-1, http_requests_total)\n)")
	q("limit", "http_requests_total", "limit", "2")
	q("limit as large as the result", "http_requests_total", "limit", "6")
	q("limit 0", "http_requests_total", "limit", "0")
	q("limit of a scalar", "1", "limit", "1")
	q("limit of a matrix", "http_requests_total[1m]", "limit", "1")
	q("stats", "sum(http_requests_total)", "stats", "true")
	q("stats of all", "sum(http_requests_total)", "stats", "all")
	q("stats of another value", "sum(http_requests_total)", "stats", "yes")
	q("lookback", "http_requests_total", "lookback_delta", "1s")
	cs.get("query: lookback reaches", "/query", "query", "http_requests_total", "time", fmt.Sprint(End+1000), "lookback_delta", "20m")
	q("timeout in seconds", "1", "timeout", "10")
	q("timeout as duration", "1", "timeout", "1m30s")
	q("unknown parameter", "1", "max_samples_processed_warning_threshold", "5", "stats_", "x")
	q("regular expression", `http_requests_total{code=~"2..|5.."}`)
	q("negative matcher", `http_requests_total{code!~"2.."}`)
	q("matcher of a missing label", `http_requests_total{nonesuch=""}`)
	q("no metric name", `{job="api"}`)
	q("comment", "1 # one")
	q("absent", `absent(nonesuch{a="b"})`)
	q("binary with many labels", `http_requests_total / ignoring(code) group_left sum without(code) (http_requests_total)`)
	q("set operation", `http_requests_total{code="200"} or http_requests_total{job="web"}`)
	q("count_values", `count(count_values("v", {"http.status"}))`)
	q("time functions", `hour(vector(time()))`)
}

func (cs *cases) rangeQueries() {
	q := func(name, expr string, more ...string) {
		params := []string{"query", expr, "start", late, "end", end, "step", "60"}
		cs.get("query_range: "+name, "/query_range", append(params, more...)...)
	}
	q("matrix", "http_requests_total")
	cs.post("query_range: by form", "/query_range", "query", "http_requests_total", "start", late, "end", end, "step", "1m")
	q("sorted by labels", "sort_desc(http_requests_total)")
	q("scalar", "42")
	q("edges", "edge", "step", "60")
	q("histograms", "latency")
	q("floats and histograms", `{__name__=~"latency|old_seconds_bucket"}`)
	q("nothing", "nonesuch")
	q("rate", "sum by (job) (rate(http_requests_total[1m0s]))")
	q("limit", "http_requests_total", "limit", "1")
	q("stats", "http_requests_total", "stats", "true")
	q("stats of all", "http_requests_total", "stats", "all")
	q("info", "rate(edge[5m])")
	q("lookback", "http_requests_total", "lookback_delta", "100ms")
	cs.get("query_range: broken step", "/query_range", "query", "http_requests_total{code=\"200\"}", "start", end, "end", fmt.Sprint(End+2), "step", "0.5")
	cs.get("query_range: broken times", "/query_range", "query", "time()", "start", "1.0004", "end", "2.9996", "step", "0.25")
	cs.get("query_range: RFC 3339", "/query_range", "query", "time()", "start", "2026-01-01T00:00:00Z", "end", "2026-01-01T02:00:00+01:00", "step", "10m")
	cs.get("query_range: one point", "/query_range", "query", "time()", "start", end, "end", end, "step", "1y")
	cs.get("query_range: 11,000 points", "/query_range", "query", "count(nonesuch)", "start", "0", "end", "11000", "step", "1")
}

func (cs *cases) badQueries() {
	for _, path := range []string{"/query", "/query_range"} {
		q := func(name string, params ...string) {
			all := map[string]string{"query": "up", "time": end, "start": late, "end": end, "step": "60"}
			for i := 0; i < len(params); i += 2 {
				all[params[i]] = params[i+1]
			}
			var flat []string
			for _, k := range []string{"query", "time", "start", "end", "step", "limit", "timeout", "lookback_delta"} {
				if v, ok := all[k]; ok && v != "-" {
					flat = append(flat, k, v)
				}
			}
			cs.get("bad"+path+": "+name, path, flat...)
		}
		q("parse error", "query", "up{")
		q("parse error by position", "query", "1 +\n sum(up) by")
		q("unknown function", "query", "nonesuch(up)")
		q("experimental function", "query", "sort_by_label(up)")
		q("type error", "query", "rate(up)")
		q("missing query", "query", "-")
		q("empty matchers", "query", "{}")
		q("text", "query", "Ünïcode ☃")
		q("bytes", "query", "\x00\xff\xfe")
		q("limit", "limit", "x")
		q("negative limit", "limit", "-1")
		q("timeout", "timeout", "soon")
		q("lookback", "lookback_delta", "far")
		q("long duration", "timeout", "1e30")
		q("many to many", "query", "http_requests_total + on(job) http_requests_total")
		q("duplicate label set", "query", `label_replace(http_requests_total, "code", "x", "", "")`)
		q("timed out", "timeout", "-1")
		q("negative duration", "timeout", "-1s")
	}
	cs.get("bad/query: time", "/query", "query", "1", "time", "abc")
	cs.get("bad/query_range: start", "/query_range", "query", "1", "start", "abc", "end", end, "step", "1")
	cs.get("bad/query_range: no start", "/query_range", "query", "1", "end", end, "step", "1")
	cs.get("bad/query_range: end", "/query_range", "query", "1", "start", end, "end", "abc", "step", "1")
	cs.get("bad/query_range: end before start", "/query_range", "query", "1", "start", end, "end", late, "step", "1")
	cs.get("bad/query_range: step", "/query_range", "query", "1", "start", late, "end", end, "step", "abc")
	cs.get("bad/query_range: no step", "/query_range", "query", "1", "start", late, "end", end)
	cs.get("bad/query_range: step 0", "/query_range", "query", "1", "start", late, "end", end, "step", "0")
	cs.get("bad/query_range: negative step", "/query_range", "query", "1", "start", late, "end", end, "step", "-1")
	cs.get("bad/query_range: too many points", "/query_range", "query", "1", "start", "0", "end", "11001", "step", "1")
	cs.get("bad/query_range: string", "/query_range", "query", `"x"`, "start", late, "end", end, "step", "60")
	cs.get("bad/query_range: range vector", "/query_range", "query", `up[5m]`, "start", late, "end", end, "step", "60")
}

func (cs *cases) listings() {
	cs.get("labels", "/labels")
	cs.post("labels: by form", "/labels", "start", late, "end", end, "limit", "40000")
	cs.get("labels: match", "/labels", "match[]", "http_requests_total")
	cs.get("labels: union", "/labels", "match[]", "http_requests_total", "match[]", "old_seconds_bucket")
	cs.get("labels: no match", "/labels", "match[]", "nonesuch")
	cs.get("labels: limit", "/labels", "limit", "3")
	cs.get("labels: limit of a union", "/labels", "match[]", "http_requests_total", "match[]", "latency", "limit", "2")
	cs.get("labels: limit as large", "/labels", "match[]", "latency", "limit", "2")
	cs.get("labels: limit 0", "/labels", "match[]", "latency", "limit", "0")
	cs.get("labels: whole time line", "/labels", "start", "-292273086-05-16T16:47:06Z", "end", "292277025-08-18T07:12:54.999999999Z")
	cs.get("values of names", "/label/__name__/values", "start", late, "end", end, "limit", "40000")
	cs.get("values", "/label/code/values", "match[]", `http_requests_total{job="api"}`)
	cs.get("values: union", "/label/job/values", "match[]", `http_requests_total{code="200"}`, "match[]", `latency`)
	cs.get("values: no such label", "/label/nonesuch/values")
	cs.get("values: escaped name", "/label/U__service_2e_name/values")
	cs.get("values: name in UTF-8", "/label/service.name/values")
	cs.get("values: limit", "/label/code/values", "limit", "2")
	cs.get("values: limit as large", "/label/code/values", "limit", "3")
	cs.get("series", "/series", "match[]", "http_requests_total")
	cs.post("series: by form", "/series", "match[]", `http_requests_total{code=~"2.."}`, "start", late, "end", end, "limit", "10")
	cs.get("series: union", "/series", "match[]", `http_requests_total{code="200"}`, "match[]", `{job="api"}`)
	cs.get("series: nothing", "/series", "match[]", `nonesuch`)
	cs.get("series: limit", "/series", "match[]", `http_requests_total`, "limit", "4")
	cs.get("series: limit as large", "/series", "match[]", `http_requests_total`, "limit", "6")
	cs.get("series: limit of a union", "/series", "match[]", `http_requests_total`, "match[]", `latency`, "limit", "7")
	cs.get("series: names that are not ASCII", "/series", "match[]", `{"http.status"}`)

	for _, path := range []string{"/labels", "/label/code/values", "/series"} {
		cs.get("bad"+path+": match", path, "match[]", "{")
		cs.get("bad"+path+": empty matchers", path, "match[]", "{}")
		cs.get("bad"+path+": only empty matchers", path, "match[]", `{job=~".*"}`)
		cs.get("bad"+path+": start", path, "match[]", "up", "start", "abc")
		cs.get("bad"+path+": end", path, "match[]", "up", "end", "abc")
		cs.get("bad"+path+": limit", path, "match[]", "up", "limit", "abc")
		cs.get("bad"+path+": negative limit", path, "match[]", "up", "limit", "-2")
	}
	cs.get("bad/series: no match", "/series")

	cs.get("exemplars", "/query_exemplars", "query", `http_requests_total{job="api"}`, "start", late, "end", end)
	cs.post("exemplars: by form", "/query_exemplars", "query", `rate(http_requests_total[5m])`, "start", fmt.Sprint(Start), "end", end)
	cs.get("exemplars: of two selectors", "/query_exemplars", "query", `http_requests_total{code="200"} + http_requests_total{code="404"}`)
	cs.get("exemplars: none", "/query_exemplars", "query", `latency`)
	cs.get("exemplars: as Grafana probes", "/query_exemplars", "query", "test", "start", end+"000", "end", end+"999")
	cs.get("exemplars: without selector", "/query_exemplars", "query", "1+1")
	cs.get("bad/query_exemplars: query", "/query_exemplars", "query", "up{")
	cs.get("bad/query_exemplars: times", "/query_exemplars", "query", "up", "start", end, "end", late)
	cs.get("bad/query_exemplars: start", "/query_exemplars", "query", "up", "start", "abc")
	cs.get("bad/query_exemplars: end", "/query_exemplars", "query", "up", "end", "abc")
}

func (cs *cases) expressions() {
	for _, expr := range []string{
		`foo`, `foo{a="b",c!="d",e=~"f.*",g!~"h"}`, `sum by (job,instance) (rate(http_requests_total{job="api"}[5m] offset 1m)) / on(job) group_left(x) bar`,
		`topk(5, foo)`, `-foo ^ (2 + 3)`, `max_over_time(rate(foo[5m])[1h:1m] @ 100)`, `foo @ start() or foo @ end() unless bool_thing > bool 3`, `"text"`, `histogram_quantile(0.9, {"http.status"})`, `time() * Inf`, `foo[1h30m] offset -5m`, `quantile without(a) (0.5, foo)`,
		`label_replace(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "bbbbbbbbbbbbbbbbbbbbbbbbbbb", "ccccccccccccccccccccccc", "dddddddd", "eeeeeeeeee")`,
	} {
		cs.get("format "+expr, "/format_query", "query", expr)
		cs.post("parse "+expr, "/parse_query", "query", expr)
	}
	cs.get("bad/format_query", "/format_query", "query", "foo{")
	cs.get("bad/parse_query", "/parse_query", "query", "foo{")
	cs.get("bad/format_query: missing", "/format_query")
}

func (cs *cases) constants() {
	cs.get("rules", "/rules")
	cs.get("rules: type", "/rules", "type", "alert")
	cs.get("bad/rules: type", "/rules", "type", "x")
	cs.get("bad/rules: match", "/rules", "match[]", "{")
	cs.get("alerts", "/alerts")
	cs.get("alertmanagers", "/alertmanagers")
	cs.get("metadata: nothing", "/metadata")
	cs.get("bad/metadata: limit", "/metadata", "limit", "x")
	cs.get("bad/metadata: limit a metric", "/metadata", "limit_per_metric", "x")
	cs.get("targets: none", "/targets")
	cs.get("metadata of targets: none", "/targets/metadata")
	cs.get("bad/targets/metadata: limit", "/targets/metadata", "limit", "x")
	cs.get("bad/targets/metadata: match", "/targets/metadata", "match_target", "{")
	cs.get("bad/status/tsdb: limit", "/status/tsdb", "limit", "0")
	cs.get("bad/status/tsdb: large limit", "/status/tsdb", "limit", "10001")
	cs.get("no such path", "/nonesuch")
	cs.add("DELETE", "wrong method", "/query", nil)
	cs.add("POST", "wrong method of values", "/label/x/values", nil)
	cs.add("OPTIONS", "preflight", "/query", nil)
}
