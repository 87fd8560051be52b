package ingest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

func TestOpenTSDB(t *testing.T) {
	d := openDoor(t)
	now, sec := testNow.UnixMilli(), base/1000*1000
	body := fmt.Sprintf(`[
		{"metric":"sys.cpu.nice","timestamp":%d,"value":18,"tags":{"host":"web01","dc":"lga"}},
		{"value":"-2.5e3","metric":"sys.cpu.nice","tags":{"dc":"lga","host":"web02"},"timestamp":"%d"},
		{"metric":"caf\u00e9","value":0.25,"tags":{"n":7,"empty":""}},
		{"metric":"no.tags","value":1,"timestamp":0,"other":{"a":[1,"]"]}}
	]`, sec/1000, base)
	want := map[string]map[int64]float64{
		`{__name__="sys.cpu.nice", dc="lga", host="web01"}`: {sec: 18}, `{__name__="sys.cpu.nice", dc="lga", host="web02"}`: {base: -2500},
		`{__name__="café", n="7"}`: {now: 0.25}, `{__name__="no.tags"}`: {now: 1},
	}
	for _, send := range []func() answer{
		func() answer { return d.do("POST", "/api/put", []byte(body)) },
		func() answer {
			return d.do("POST", "/opentsdb/api/put/?sync&sync_timeout=60000", gzipped(t, []byte(body)), "Content-Encoding", "gzip")
		},
	} {
		if r := send(); r.code != 204 || r.body != "" {
			t.Fatalf("%d %s", r.code, r.body)
		}
		if got := d.storedFloats(); !maps.EqualFunc(got, want, func(a, b map[int64]float64) bool { return maps.Equal(a, b) }) {
			t.Errorf("stored %v", got)
		}
	}
	for query, want := range map[string]string{"": "", "?summary": `{"failed":0,"success":1}`, "?details": `{"failed":0,"success":1}`, "?summary&details=true": `{"failed":0,"success":1}`} {
		code := 200
		if query == "" {
			code = 204
		}
		if r := d.do("POST", "/api/put"+query, []byte(`{"metric":"one","value":1}`)); r.code != code || r.body != want {
			t.Errorf("%s: %d %s", query, r.code, r.body)
		}
	}
}

func TestOpenTSDBRefusals(t *testing.T) {
	d := openDoor(t)
	bad := `[{"metric":"m","value":1},{"metric":"m","value":"x"},{"metric":"m","value":1,"timestamp":1},{"value":1},{"metric":"m","value":1,"timestamp":"soon"},{"metric":"m"}]`
	for query, parts := range map[string][]string{
		"":         {`{"error":{"code":400,"message":"partial write: 1 written, 5 refused: invalid timestamp`, `unable to parse value \"x\" to a number`, "(bad_value, 2)", "(too_old, 1)", "(no_name, 1)", "(bad_time, 1)"},
		"?summary": {`{"failed":5,"success":1}`},
		"?details": {`"failed":5,"success":1`, `{"datapoint":{"metric":"m","value":"x"},"error":"unable to parse value`, `{"datapoint":{"value":1},"error":"invalid metric name`, "no metric name", `{"error":"partial write: 1 written, 1 refused: too old sample`, "invalid timestamp"},
	} {
		r := d.do("POST", "/api/put"+query, []byte(bad))
		for _, part := range parts {
			if r.code != 400 || !strings.Contains(r.body, part) {
				t.Errorf("%q: %d %s, want %s", query, r.code, r.body, part)
			}
		}
		if query == "?summary" && r.body != parts[0] {
			t.Errorf("%s", r.body)
		}
	}
	if n := len(d.storedSeries()); n != 1 {
		t.Errorf("%d series", n)
	}
	for body, want := range map[string]string{
		`[{"metric":"broken","value":1},`: `{"error":{"code":400,"message":"unable to parse the given JSON: malformed JSON after 31 bytes: unexpected end of JSON input"}}`,
		`"text"`:                          "malformed JSON: a data point is no object",
		`{"metric":"broken","value":NaN}`: "malformed JSON after 28 bytes",
		"":                                "malformed JSON",
		`{"metric":"broken","value":1} x`: "malformed JSON after 31 bytes",
	} {
		if r := d.do("POST", "/api/put?details", []byte(body)); r.code != 400 || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s", body, r.code, r.body)
		}
	}
	if r := d.do("POST", "/api/put", []byte("x"), "Content-Encoding", "br"); r.code != 400 || !strings.Contains(r.body, "use gzip") {
		t.Errorf("%d %s", r.code, r.body)
	}
	if got := d.storedSeries(); len(got) != 1 {
		t.Errorf("a request that cannot be parsed stored %v", got)
	}
}

func TestOpenTSDBNames(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *storage.Options) { o.Names = door.NamesUnderscores })
	if r := d.do("POST", "/api/put", []byte(`{"metric":"5min.load-avg","value":1,"tags":{"host/name":"a.b"}}`)); r.code != 204 {
		t.Fatalf("%d %s", r.code, r.body)
	}
	if got := d.storedSeries(); len(got) != 1 || got[0] != `{__name__="_5min_load_avg", host_name="a.b"}` {
		t.Errorf("%v", got)
	}
}
