package prom

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"tsdb/query"
)

// TestTimesAtTheEndsOfTheTimeLine: clients send times that no sample can have to
// mean "from the beginning" and "to the end".
func TestTimesAtTheEndsOfTheTimeLine(t *testing.T) {
	s := newServer(t, Options{})
	ok := func(want, path string, params ...string) {
		t.Helper()
		r := s.get(t, path, params...)
		if r.status != 200 || !strings.Contains(string(r.body), want) {
			t.Errorf("%s %q: %d %.300s, want %s", path, params, r.status, r.body, want)
		}
	}
	first, last := []string{minTimeText, "-9223372036854775", fmt.Sprint(query.MinTime / 1000), "-1e12", "0001-01-01T00:00:00Z"},
		[]string{maxTimeText, "9223372036854775", fmt.Sprint(query.MaxTime / 1000), "1e12", "9999-12-31T23:59:59Z"}
	for i := range first {
		for path, want := range map[string]string{
			"/series": `"http_requests_total"`, "/labels": `"code"`, "/label/code/values": `"200"`,
			"/query_exemplars": `"success"`, "/explain": `"selectors"`,
		} {
			ok(want, path, "match[]", "http_requests_total", "query", "http_requests_total", "start", first[i], "end", last[i])
		}
		for _, at := range []string{first[i], last[i]} {
			ok(`"result":[]`, "/query", "query", "http_requests_total", "time", at)
			ok(`,"1"]`, "/query", "query", "vector(1)", "time", at)
			ok(`"result":[]`, "/query", "query", "rate(http_requests_total[290y] offset 290y)", "time", at)
			ok(`"result":[]`, "/query", "query", "rate(http_requests_total[290y] offset -290y)", "time", at)
			ok(`"result":[]`, "/query", "query", "max_over_time(rate(http_requests_total[290y] offset 290y)[290y:1y] offset 290y)", "time", at)
			ok(`"result":[]`, "/query", "query", "max_over_time(http_requests_total[290y:1y] offset -290y)", "time", at)
			ok(`"__name__":"http_requests_total"`, "/query", "query", "http_requests_total @ 1.7e9 or last_over_time(http_requests_total[290y] @ 9e9)", "time", at)
			ok(`"resultType":"matrix"`, "/query_range", "query", "vector(1)", "start", at, "end", at, "step", "1")
		}
		// The whole line at once is more points than there may be, without an overflow.
		s.get(t, "/query_range", "query", "vector(1)", "start", first[i], "end", last[i], "step", "1h").want(t, 400, "bad_data", "exceeded maximum resolution")
	}
	for at, want := range map[string]string{
		minTimeText: fmt.Sprintf(`[%d,"%d"]`, query.MinTime/1000, query.MinTime/1000),
		"1e12":      `[1000000000000,"1000000000000"]`,
		"-1e12":     `[-1000000000000,"-1000000000000"]`,
		"1e10":      `[10000000000,"10000000000"]`,
	} {
		ok(want, "/query", "query", "time()", "time", at)
	}
	ok(`[[1000000000000,"1000000000000"],[1000000000060,"1000000000060"]]`, "/query_range", "query", "time()", "start", "1e12", "end", "1000000000060", "step", "1m")
	ok(`"2"`, "/query", "query", "count_over_time(vector(1)[2m:1m])", "time", "1e12")
	ok(`"result":[]`, "/query", "query", fmt.Sprintf("http_requests_total @ %d offset -290y", math.MaxInt64/1000), "time", "1")
	ok(`"result":[]`, "/query", "query", fmt.Sprintf("max_over_time(http_requests_total[5m:1m] @ -%d offset 290y)", math.MaxInt64/1000), "time", "1")

	// What Prometheus' engine evaluates would be taken for another time.
	experimental := query.Options{}
	experimental.Parser.EnableExperimentalFunctions = true
	s = newServer(t, Options{Engine: query.New(experimental)})
	s.get(t, "/query", "query", "info(http_requests_total)", "time", "1e12").want(t, 422, "execution", "can be evaluated from 1677-09-21 to 2262-04-11")
}

// TestZeroTimeoutIsRefused: a query that has no time at all is refused as in
// Prometheus, whose deadline has passed before it begins.
func TestZeroTimeoutIsRefused(t *testing.T) {
	s := newServer(t, Options{})
	for _, timeout := range []string{"0", "0s", "0.0", "-1", "-0"} {
		for _, path := range []string{"/query", "/query_range"} {
			for _, q := range []string{"1", "http_requests_total"} {
				s.get(t, path, "query", q, "start", "1", "end", "2", "step", "1", "timeout", timeout).want(t, 503, "timeout", "query timed out in ")
			}
		}
	}
}
