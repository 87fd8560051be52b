package prom

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/timestamp"

	"tsdb/query"
	"tsdb/storage"
)

func TestTimesAreReadToTheMillisecond(t *testing.T) {
	f := func(s string, wantMs int64) {
		t.Helper()
		got, err := parseTime(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
		} else if ms := timestamp.FromTime(got); ms != wantMs {
			t.Errorf("%q is %d ms, want %d", s, ms, wantMs)
		}
	}
	f("0", 0)
	f("1700000000.123", 1700000000123)
	f("1700000000.1236", 1700000000124)
	f("-1.5", -1500)
	f("1e9", 1e12)
	f("2015-06-03T13:21:58.555Z", 1433337718555)
	f("2015-06-03T14:21:58.555+01:00", 1433337718555)
	f("1767229200000", 1767229200000*1000)
	f("-292273086-05-16T16:47:06Z", timestamp.FromTime(minTime))
	f("292277025-08-18T07:12:54.999999999Z", timestamp.FromTime(maxTime))

	for _, s := range []string{"", "abc", "NaN", "Inf", "-Inf", "1e300", "-1e300", "9223372036854775807", "2015-06-03", "1s", "0x", "292277025-08-18T07:12:54Z"} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("%q is a time: %v", s, got)
		}
	}
}

func TestDurationsAreReadAsSecondsOrWithUnits(t *testing.T) {
	f := func(s string, want time.Duration) {
		t.Helper()
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", s, got, err, want)
		}
	}
	f("1", time.Second)
	f("0.5", time.Second/2)
	f("-3", -3*time.Second)
	f("1h30m", 90*time.Minute)
	f("1m0s", time.Minute)
	f("1y", 365*24*time.Hour)
	f("1e9", 1e9*time.Second)

	for _, s := range []string{"", "abc", "NaN", "Inf", "1e30", "-1e30", "9223372036.854775807", "1.5h", "1h 30m", "-1m"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%q is a duration: %v", s, got)
		}
	}
}

// FuzzParameters sends any parameters to every endpoint that reads some.
// Invariants: no panic, an answer or an error in the API's form, 4xx for bad
// parameters. There is no database, so queries are parsed and not evaluated.
func FuzzParameters(f *testing.F) {
	add := func(params ...string) {
		v := url.Values{}
		for i := 0; i < len(params); i += 2 {
			v.Add(params[i], params[i+1])
		}
		f.Add(v.Encode())
	}
	add("query", "up", "time", "1", "timeout", "1s", "limit", "1", "stats", "all", "lookback_delta", "5m")
	add("query", "rate(x[5m])", "start", "1", "end", "1e9", "step", "0.0001")
	add("query", "x", "start", "NaN", "end", "Inf", "step", "NaN")
	add("query", "x", "start", "1e18", "end", "9.3e15", "step", "1e-300")
	add("query", "x", "start", minTimeText, "end", maxTimeText, "step", "1y")
	add("match[]", "{a=~\"\"}", "match[]", "x{", "limit", "-9223372036854775808")
	add("match[]", "x", "limit", "9223372036854775807", "limit_per_metric", "-1", "metric", "\xff")
	add("query", "{\"\xff\xfe\"}", "match_target", "{", "type", "ALERT", "state", "x")
	f.Add("query=%zz")
	f.Add("a=1;b=2")
	f.Add(strings.Repeat("match[]=x&", 1001))

	a := New(Options{
		DB:     func() (*storage.DB, error) { return nil, storage.ErrBusy },
		Engine: query.New(query.Options{}),
	})
	mux := http.NewServeMux()
	a.Register(mux)
	paths := []string{
		"/query", "/query_range", "/query_exemplars", "/series", "/labels", "/label/x/values", "/label/U__x_/values", "/label/%FF/values",
		"/metadata", "/rules", "/targets", "/targets/metadata", "/format_query", "/parse_query", "/status/tsdb",
	}
	f.Fuzz(func(t *testing.T, params string) {
		for _, path := range paths {
			r := httptest.NewRequest(http.MethodGet, "/api/v1"+path, nil)
			r.URL.RawQuery = params
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			switch w.Code {
			case http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusServiceUnavailable:
			default:
				t.Errorf("%s: status %d: %s", path, w.Code, clip(w.Body.String()))
			}
			if w.Code != http.StatusNoContent {
				decode(t, w.Body.String())
			}
		}
	})
}

// FuzzNumbers parses formatted numbers again: every float but NaN has the same
// bits, every time the same millisecond.
func FuzzNumbers(f *testing.F) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, 1e-7, 1e21, 1 << 53, 1<<53 + 2, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.NaN()} {
		f.Add(math.Float64bits(v), int64(v))
	}
	f.Add(uint64(1), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, bits uint64, ms int64) {
		checkFloat(t, math.Float64frombits(bits))
		checkTime(t, ms)
	})
}
