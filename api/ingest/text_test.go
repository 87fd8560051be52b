package ingest

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
)

const (
	textPath    = "/api/v1/import/prometheus"
	openMetrics = "application/openmetrics-text; version=1.0.0"
)

func TestTextStoresSamplesWithTheirTimes(t *testing.T) {
	d := openDoor(t)
	now := testNow.UnixMilli()
	f := func(target, body string, want map[string]map[int64]float64, headers ...string) {
		t.Helper()
		r := d.do("POST", target, []byte(body), headers...)
		if r.code != http.StatusNoContent {
			t.Errorf("%q: %d %s", body, r.code, r.body)
		}
		got := d.storedFloats()
		for series, samples := range want {
			for at, v := range samples {
				if x, ok := got[series][at]; !ok || math.Float64bits(x) != math.Float64bits(v) {
					t.Errorf("%q: %s has %v, want %v at %d", body, series, got[series], v, at)
				}
			}
		}
	}
	f(textPath, "# a comment\na 1\na_b:c{x=\"y\"} 2.5\r\n", map[string]map[int64]float64{`{__name__="a"}`: {now: 1}, `{__name__="a_b:c", x="y"}`: {now: 2.5}})
	f(textPath, fmt.Sprintf("a 3 %d\n", base), map[string]map[int64]float64{`{__name__="a"}`: {base: 3}})
	f(textPath+"?timestamp="+fmt.Sprint(base+5), "a 4", map[string]map[int64]float64{`{__name__="a"}`: {base + 5: 4}})
	f(textPath, fmt.Sprintf("a NaN %d\na{i=\"p\"} +Inf\na{i=\"n\"} -Inf", base+9), map[string]map[int64]float64{
		`{__name__="a"}`: {base + 9: math.Float64frombits(0x7ff8000000000001)}, `{__name__="a", i="p"}`: {now: math.Inf(1)}, `{__name__="a", i="n"}`: {now: math.Inf(-1)}})
	f(textPath, fmt.Sprintf("o_total 5 %d.25\n# EOF\n", base/1000), map[string]map[int64]float64{`{__name__="o_total"}`: {base/1000*1000 + 250: 5}}, "Content-Type", openMetrics)
	f(textPath, fmt.Sprintf("# seconds without the type of OpenMetrics\ns 5 %d\n", base/1000), map[string]map[int64]float64{`{__name__="s"}`: {base / 1000 * 1000: 5}})
	f(textPath, `{"http.status","a b"="c\n\"}"} 7`, map[string]map[int64]float64{`{__name__="http.status", "a b"="c\n\"}"}`: {now: 7}})
	f(textPath+"?extra_label=x=1&extra_label=job=j", `e{x="y",z="w"} 7`, map[string]map[int64]float64{`{__name__="e", job="j", x="1", z="w"}`: {now: 7}})
	f(textPath, `e{x="y",z="w"} 8`, map[string]map[int64]float64{`{__name__="e", x="y", z="w"}`: {now: 8}})
	f(textPath, "u 5", map[string]map[int64]float64{`{__name__="u"}`: {now: 5}}, "Content-Type", "application/x-www-form-urlencoded")

	// The bounds of buckets and quantiles have the form of OpenMetrics, as in a scrape by
	// Prometheus; without the type they stay as they are.
	f(textPath, "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# TYPE s summary\ns_x{quantile=\"0.50\",le=\"1\"} 2\n", map[string]map[int64]float64{
		`{__name__="h_bucket", le="1.0"}`: {now: 1}, `{__name__="s_x", le="1", quantile="0.5"}`: {now: 2}})
	f(textPath, "h_bucket{le=\"1\"} 3\n", map[string]map[int64]float64{`{__name__="h_bucket", le="1.0"}`: {now: 1}, `{__name__="h_bucket", le="1"}`: {now: 3}})
}

func TestTextRefusesBadLinesOneByOne(t *testing.T) {
	d := openDoor(t)
	body := strings.Join([]string{
		"good 1", "hello world", "no_value", "a{b=\"c\" 5", "a{b=\"c\"} 5 x", "a 5 1795264155123 6", "a-b 5", "{b=\"c\"} 5", "a{b=\"c\",b=\"d\"} 5",
		"a{b=\"\xff\"} 5", "old 1 86400000000", "a{b=\"c\"} 5 # {t=\"" + strings.Repeat("x", 200) + "\"} 1", "a 1 # x", "good2 2",
	}, "\n")
	r := d.do("PUT", textPath, []byte(body))
	if r.code != http.StatusBadRequest || strings.Contains(r.body, "\n") {
		t.Errorf("%d %s", r.code, r.body)
	}
	for _, part := range []string{"3 written, 12 refused", "the value is no number: hello world (bad_value, 4)", "bad_label, 1", "(bad_time, 1)", "no_name", "duplicated label b", "invalid_utf8", "too_old", "bad_exemplar, 2"} {
		if !strings.Contains(r.body, part) {
			t.Errorf("%q is missing in %s", part, r.body)
		}
	}
	if got := strings.Join(d.storedSeries(), " "); got != `{__name__="a", b="c"} {__name__="good"} {__name__="good2"}` {
		t.Errorf("stored %s", got)
	}
	for target, text := range map[string]string{"?extra_label=x": "want name=value", "?extra_label==x": "want name=value", "?timestamp=1.5": "no time in Unix milliseconds"} {
		if r := d.do("POST", textPath+target, []byte("a 1")); r.code != http.StatusBadRequest || !strings.Contains(r.body, text) {
			t.Errorf("%s: %d %s", target, r.code, r.body)
		}
	}
	if r := d.do("GET", textPath, nil); r.code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", r.code)
	}
}

// OpenMetrics: exemplars, start timestamps wherever the line is within its point, and
// metadata.
func TestOpenMetrics(t *testing.T) {
	m := doortest.NewMemory()
	mux := memoryDoor(t, m)
	body := `# HELP c Requests \"of\" all\nkinds.
# TYPE c counter
# UNIT c seconds
c_total{a="x"} 5 1795264155.5 # {trace_id="t"} 0.5 1795264155.25
c_created{a="x"} 1795264100.125
c_total{a="y"} 6
# TYPE h histogram
h_created{b="1"} 1795264000
h_bucket{b="1",le="1"} 1 # {trace_id="u"} 0.75
h_bucket{le="+Inf",b="1"} 2
h_sum{b="1"} 3
h_count{b="1"} 2
h_bucket{b="2",le="+Inf"} 2
# TYPE g gauge
g_created 17
# EOF
`
	if r := do(t, mux, "POST", textPath, []byte(body), "Content-Type", openMetrics); r.code != http.StatusNoContent {
		t.Fatalf("%d %s", r.code, r.body)
	}
	starts := map[string]int64{}
	for _, s := range m.Samples {
		starts[s.Series] = s.ST
	}
	for series, want := range map[string]int64{
		`{__name__="c_total", a="x"}`: 1795264100125, `{__name__="c_total", a="y"}`: 0, `{__name__="h_bucket", b="1", le="1.0"}`: 1795264000000,
		`{__name__="h_bucket", b="1", le="+Inf"}`: 1795264000000, `{__name__="h_sum", b="1"}`: 1795264000000, `{__name__="h_count", b="1"}`: 1795264000000,
		`{__name__="h_bucket", b="2", le="+Inf"}`: 0, `{__name__="g_created"}`: 0,
	} {
		if st, ok := starts[series]; !ok || st != want {
			t.Errorf("%s begins at %d %v, want %d", series, st, ok, want)
		}
	}
	if len(m.Samples) != 8 {
		t.Errorf("%d samples: %v", len(m.Samples), m.Samples)
	}
	if len(m.Exemplars) != 2 || m.Exemplars[0].E.T != 1795264155250 || m.Exemplars[0].E.V != 0.5 || m.Exemplars[0].E.Labels.String() != `{trace_id="t"}` || m.Exemplars[1].E.T != testNow.UnixMilli() {
		t.Errorf("exemplars %+v", m.Exemplars)
	}
	want := map[string]model.Metadata{"c": {Type: "counter", Unit: "seconds", Help: "Requests \"of\" all\nkinds."}, "h": {Type: "histogram"}, "g": {Type: "gauge"}}
	for name, w := range want {
		if m.MetadataOf[name] != w {
			t.Errorf("metadata of %s: %+v, want %+v", name, m.MetadataOf[name], w)
		}
	}
	do(t, mux, "POST", textPath, []byte(body), "Content-Type", openMetrics)
	if len(m.MetadataOf) != 0 {
		t.Errorf("metadata are stored again: %v", m.MetadataOf)
	}
	r := do(t, mux, "POST", textPath, []byte("# TYPE c counter\nc_total 1\nc_created 1e300\n"), "Content-Type", openMetrics)
	if r.code != http.StatusBadRequest || !strings.Contains(r.body, "_created is no time") {
		t.Errorf("%d %s", r.code, r.body)
	}
}

// A body of many pieces is stored as one piece would be: no point is divided, and
// families go on.
func TestTextOfAnyLength(t *testing.T) {
	for _, c := range []struct {
		name    string
		comment bool // each metric has a TYPE of its own
	}{{"families", true}, {"one family", false}} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t)
			var body []byte
			const n = 60_000
			if !c.comment {
				body = append(body, "# TYPE c counter\n"...)
			}
			for i := range n {
				name := "c"
				if c.comment {
					name = fmt.Sprintf("c%d", i)
					body = fmt.Appendf(body, "# HELP %s Help.\n# TYPE %s counter\n", name, name)
				}
				body = fmt.Appendf(body, "%s_total{i=\"%05d\",padding=\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"} %d %d.5\n%s_created{i=\"%05d\",padding=\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"} %d\n", name, i, i, base/1000, name, i, base/1000-1-int64(i%100))
			}
			if len(body) < 8<<20 {
				t.Fatalf("a body of %d bytes", len(body))
			}
			var z bytes.Buffer
			w, err := zstd.NewWriter(&z)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if r := d.do("POST", textPath, z.Bytes(), "Content-Encoding", "zstd", "Content-Type", openMetrics); r.code != http.StatusNoContent {
				t.Fatalf("%d %s", r.code, r.body)
			}
			stored := d.stored()
			if len(stored) != n {
				t.Fatalf("%d series of %d", len(stored), n)
			}
			bad := 0
			for series, s := range stored {
				i := int64(s.V[0])
				if s.Len() != 1 || s.StartAt(0) != (base/1000-1-i%100)*1000 || s.T[0] != base/1000*1000+500 {
					if bad++; bad < 5 {
						t.Errorf("%s: %+v", series, s)
					}
				}
			}
			if used := d.budget.Used(); used != 0 {
				t.Errorf("%d bytes stay charged", used)
			}
		})
	}
}
