package ingest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v3"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

// rules returns relabelling rules in Prometheus' form.
func rules(t testing.TB, text string) []*relabel.Config {
	t.Helper()
	var all []*relabel.Config
	if err := yaml.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if err := r.Validate(model.UTF8Validation); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// What relabelling drops is done for the client of every door, and never parsed again.
func TestRelabellingDropsAtEveryDoor(t *testing.T) {
	for name := range writes(t) {
		m := doortest.NewMemory()
		in := newIngest(memoryOptions(), doortest.Backend{Store: m})
		in.SetRules(door.Rules{Relabel: rules(t, `[{source_labels: [__name__], regex: "m(_v)?", action: drop}]`)})
		mux := http.NewServeMux()
		in.Register(mux)
		for range 2 {
			a := send(t, mux, writes(t)[name])
			if a.code != http.StatusNoContent || len(m.Samples) != 0 || m.Dropped.Floats != 1 || m.Resolves != 0 {
				t.Errorf("%s: %d %s: %d samples, dropped %+v, %d resolved", name, a.code, a.body, len(m.Samples), m.Dropped, m.Resolves)
			}
			if name == "remote write 2" && written3(a) != "1 0 0" {
				t.Errorf("written %q", written3(a))
			}
		}
		if len(m.Known) != 1 {
			t.Errorf("%s: aliases %v", name, m.Known)
		}
		// Other rules forget what the aliases stood for.
		in.SetRules(door.Rules{Relabel: rules(t, `[{target_label: site, replacement: home}]`)})
		if a := send(t, mux, writes(t)[name]); a.code != http.StatusNoContent || len(m.Samples) != 1 || !strings.Contains(m.Samples[0].Series, `site="home"`) {
			t.Errorf("%s: %d %s: %v", name, a.code, a.body, m.Samples)
		}
		if a := send(t, mux, writes(t)[name]); a.code != http.StatusNoContent || m.Resolves != 1 {
			t.Errorf("%s: %d %s: %d resolved", name, a.code, a.body, m.Resolves)
		}
	}
}

func TestRelabellingRulesOfADoor(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *storage.Options) {
		o.Rules = door.Rules{
			Relabel: rules(t, `
- {regex: secret, action: labeldrop}
- {source_labels: [a], regex: (.+)-(.+), target_label: b, replacement: $2}`),
			Doors: map[string]door.DoorRules{"text": {
				Relabel: rules(t, `
- {source_labels: [b], target_label: b, action: uppercase}
- {source_labels: [a], regex: bad, target_label: __name__, replacement: ""}
- {source_labels: [a], regex: long, target_label: c, replacement: `+strings.Repeat("x", 100)+`}`),
				Limits: door.Limits{ValueBytes: 50},
			}},
		}
	})
	f := func(target, body string, code int, says string) {
		t.Helper()
		if r := d.do("POST", target, []byte(body)); r.code != code || !strings.Contains(r.body, says) {
			t.Errorf("%s: %d %s, want %d %q", body, r.code, r.body, code, says)
		}
	}
	f(textPath, `m{a="x-y",secret="s"} 1`, 204, "")
	f("/write", "n,a=x-y,secret=s v=1", 204, "")
	f(textPath, `m{a="bad"} 1`, 400, "no metric name")
	f(textPath, `m{a="long"} 1`, 400, "has 100 bytes, limit is 50")
	f(textPath, `m{a="`+strings.Repeat("y", 51)+`"} 1`, 400, "limit is 50")
	f("/write", "n,c="+strings.Repeat("y", 51)+" v=1", 204, "")
	f(textPath+"?extra_label=a=p-q", `k 1`, 204, "") // added before relabelling
	want := []string{`{__name__="k", a="p-q", b="Q"}`, `{__name__="m", a="x-y", b="Y"}`, `{__name__="n_v", a="x-y", b="y"}`, `{__name__="n_v", c="` + strings.Repeat("y", 51) + `"}`}
	if got := d.storedSeries(); !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// A door beyond its limit of series refuses new ones with a reason; known ones and other
// doors go on.
func TestSeriesLimitsOfADoor(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *storage.Options) {
		o.Rules = door.Rules{Doors: map[string]door.DoorRules{"text": {Series: 2}, "csv": {NewPerHour: 1}}}
	})
	body := func(n int) []byte {
		var b []byte
		for i := range n {
			b = fmt.Appendf(b, "m{i=\"%d\"} 1\n", i)
		}
		return b
	}
	if r := d.do("POST", textPath, body(2)); r.code != 204 {
		t.Errorf("%d %s", r.code, r.body)
	}
	for range 2 {
		r := d.do("POST", textPath, body(5))
		for _, part := range []string{"2 written, 3 refused", "the door has 2 active series, limit is 2 (limit.series of doors: text)", `{__name__="m", i="2"}`, "series_limit, 3"} {
			if r.code != 400 || !strings.Contains(r.body, part) {
				t.Errorf("%d %s, want %q", r.code, r.body, part)
			}
		}
	}
	if r := d.do("POST", "/write", []byte("a v=1\nb v=1\nc v=1")); r.code != 204 {
		t.Errorf("another door: %d %s", r.code, r.body)
	}
	if r := d.do("POST", "/api/v1/import/csv?format=1:label:a,2:metric:c", []byte("x,1\ny,2\nx,3")); r.code != 400 || !strings.Contains(r.body, "churn_limit, 1") {
		t.Errorf("%d %s", r.code, r.body)
	}
	d.in.SetRules(door.Rules{Series: storage.SeriesLimits{Active: 6}})
	if r := d.do("POST", "/write", []byte("a v=1\nd v=1")); r.code != 400 || !strings.Contains(r.body, "limit is 6 (--limit.series)") || !strings.Contains(r.body, "dropped=1") {
		t.Errorf("%d %s", r.code, r.body)
	}
}

func TestRejectedShowsTheLastRefusals(t *testing.T) {
	d := openDoor(t)
	get := func(query string) (rows []refusals) {
		t.Helper()
		r := d.do("GET", "/api/v1/status/rejected"+query, nil)
		var a struct {
			Status string
			Data   struct {
				Since    time.Time
				Rejected []refusals
			}
		}
		if err := json.Unmarshal([]byte(r.body), &a); err != nil || r.code != 200 || a.Status != "success" || !a.Data.Since.Equal(testNow) {
			t.Fatalf("%d %s: %v", r.code, r.body, err)
		}
		return a.Data.Rejected
	}
	if rows := get(""); len(rows) != 0 {
		t.Errorf("%+v", rows)
	}
	for i := range 15 {
		d.clock.Advance(time.Second)
		d.do("POST", textPath, fmt.Appendf(nil, "old{i=\"%d\"} 1 86400000000\nold{i=\"x\"} 1 86400000000\nbad x\n", i), "Authorization", "Basic c2VjcmV0")
	}
	d.do("POST", "/write", []byte("m v=1 1"))
	d.do("POST", "/api/v1/write", []byte("\xff"), "Content-Type", type1)
	d.do("POST", "/api/v1/import", []byte("x"), "Content-Encoding", "br")
	rows := get("")
	var keys []string
	for _, r := range rows {
		keys = append(keys, fmt.Sprintf("%s/%s %d %d %d", r.Door, r.Reason, r.Requests, r.Samples, len(r.Last)))
	}
	want := []string{"influx/too_old 1 1 1", "json_lines/request_malformed 1 0 1", "remote_write/request_malformed 1 0 1", "text/bad_value 15 15 10", "text/too_old 15 30 10"}
	if !slices.Equal(keys, want) {
		t.Errorf("%q, want %q", keys, want)
	}
	rows = get("?door=text&reason=too_old")
	if len(rows) != 1 || rows[0].Last[0].Series != `{__name__="old", i="14"}` || rows[0].Last[9].Series != `{__name__="old", i="5"}` || rows[0].Last[0].At.UnixMilli() != 86_400_000_000 ||
		!rows[0].Last[0].Time.Equal(testNow.Add(15*time.Second)) || rows[0].Last[0].Samples != 2 || !strings.Contains(rows[0].Last[0].Detail, "too old") {
		t.Errorf("%+v", rows)
	}
	if r := d.do("GET", "/api/v1/status/rejected", nil); strings.Contains(r.body, "c2VjcmV0") {
		t.Error("a header is shown")
	}
}
