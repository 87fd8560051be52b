package ingest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tsdb/api/ingest/doortest"
	"tsdb/internal/model"
	"tsdb/storage"
)

func TestInfluxBodyMayBeginWithAByteOrderMark(t *testing.T) {
	text := "\xef\xbb\xbfbom v=1 " + ns + "\nbom v=2 " + ns + "\n"
	want := map[int64]float64{base: 2}
	for name, send := range map[string]func(d *server) answer{
		"plain": func(d *server) answer { return d.lines(text) },
		"gzip": func(d *server) answer {
			return d.do("POST", "/write", gzipped(t, []byte(text)), "Content-Encoding", "gzip")
		},
	} {
		d := openDoor(t)
		if a := send(d); a.code != 204 {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
		if got := d.storedFloats(); len(got) != 1 || !maps.Equal(got[`{__name__="bom_v"}`], want) {
			t.Errorf("%s: stored %v", name, got)
		}
	}
}

func TestInfluxCompressedBodyWithoutHeaderIsNamed(t *testing.T) {
	for _, c := range []struct {
		name, path string
		body       []byte
		says       string
	}{
		{"1.x", "/write?db=d", gzipped(t, []byte("m v=1")), `{"error":"the body is compressed with gzip, but no header says so: send it with \"Content-Encoding: gzip\""}`},
		{"2.x", "/api/v2/write?bucket=d", gzipped(t, []byte("m v=1")), `{"code":"invalid","message":"the body is compressed with gzip, but no header says so: send it with \"Content-Encoding: gzip\""}`},
		{"zstd", "/write", []byte("\x28\xb5\x2f\xfd\x04\x00"), "zstd, which is not supported"},
	} {
		d := openDoor(t)
		if a := d.do("POST", c.path, c.body); a.code != 400 || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s", c.name, a.code, a.body)
		}
		if n := len(d.stored()); n != 0 {
			t.Errorf("%s: %d series", c.name, n)
		}
	}
	d := openDoor(t)
	a := d.do("POST", "/api/v1/write", gzipped(t, []byte("x")), "Content-Type", type1, "Content-Encoding", "snappy")
	if a.code != 400 || !strings.Contains(a.body, "compressed with gzip; remote write is a plain block of snappy") {
		t.Errorf("remote write: %d %s", a.code, a.body)
	}
}

func TestInfluxReady(t *testing.T) {
	d := openDoor(t)
	d.clock.Advance(90 * time.Second)
	a := d.do("GET", "/ready", nil)
	if want := `{"status":"ready","started":"2026-11-21T12:30:15.123456789Z","up":"1m30s"}`; a.code != 200 || a.body != want || a.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%d %s %v", a.code, a.body, a.header)
	}
	starting := memoryDoor(t, doortest.NewMemory())
	if a := do(t, starting, "GET", "/ready", nil); a.code != 503 || !strings.Contains(a.body, `"code":"unavailable"`) {
		t.Errorf("starting: %d %s", a.code, a.body)
	}
}

func TestClientsProbeTheWritePaths(t *testing.T) {
	d := openDoor(t)
	starting := http.NewServeMux()
	New(memoryOptions()).Register(starting)
	for _, path := range []string{"/api/v1/write", "/api/v1/push"} {
		for _, method := range []string{"GET", "HEAD"} {
			if a := d.do(method, path, nil); a.code != 200 {
				t.Errorf("%s %s: %d", method, path, a.code)
			}
		}
		if a := d.do("PUT", path, nil); a.code != 405 || !strings.Contains(a.header.Get("Allow"), "POST") {
			t.Errorf("PUT %s: %d", path, a.code)
		}
		if a := do(t, starting, "GET", path, nil); a.code != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("GET %s of a server that starts: %d", path, a.code)
		}
	}
	for path, allow := range map[string]string{
		"/api/v1/write": "GET, HEAD, OPTIONS, POST", "/write": "POST, OPTIONS", "/api/v2/write": "POST, OPTIONS", "/query": "GET, POST, OPTIONS",
		"/ping": "GET, HEAD, OPTIONS", "/health": "GET, HEAD, OPTIONS", "/ready": "GET, HEAD, OPTIONS",
	} {
		if a := d.do("OPTIONS", path, nil); a.code != 204 || a.header.Get("Allow") != allow {
			t.Errorf("OPTIONS %s: %d %q", path, a.code, a.header.Get("Allow"))
		}
	}
	if a := d.do("GET", "/write", nil); a.code != 405 || a.body != `{"error":"method not allowed"}` {
		t.Errorf("GET /write: %d %s", a.code, a.body)
	}
}

// influxResult is a result of /query.
type influxResult struct {
	Series []struct {
		Columns []string `json:"columns"`
		Values  [][]any  `json:"values"`
	} `json:"series"`
	Messages []struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	} `json:"messages"`
	Error string `json:"error"`
}

// influxQuery sends a statement and returns the only result.
func (d *server) influxQuery(method, params, q string) influxResult {
	d.t.Helper()
	form := params + "&q=" + strings.NewReplacer(" ", "+", `"`, "%22").Replace(q)
	a := d.do(method, "/query?"+form, nil)
	var r struct {
		Results []influxResult `json:"results"`
	}
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.code != 200 || len(r.Results) != 1 {
		d.t.Fatalf("%s: %d %s", q, a.code, a.body)
	}
	return r.Results[0]
}

func TestInfluxRetentionPolicies(t *testing.T) {
	d := openDoor(t, func(o *Options, _ *storage.Options) { o.RetentionMs = 30 * model.DayMs })
	show := func(method, params, q, want string) {
		t.Helper()
		r := d.influxQuery(method, params, q)
		got, err := json.Marshal(r.Series)
		if err != nil || string(got) != `[{"columns":["name","duration","shardGroupDuration","replicaN","default"],"values":[`+want+`]}]` || r.Error != "" {
			t.Errorf("%s: %s, error %q", q, got, r.Error)
		}
	}
	done := func(q string) {
		t.Helper()
		if r := d.influxQuery("POST", "", q); r.Error != "" || len(r.Messages) > 1 {
			t.Errorf("%s: %+v", q, r)
		}
	}
	refused := func(q, says string) {
		t.Helper()
		if r := d.influxQuery("POST", "", q); !strings.Contains(r.Error, says) {
			t.Errorf("%s: %+v, want %q", q, r, says)
		}
	}
	show("GET", "", `SHOW RETENTION POLICIES ON "x"`, `["autogen","720h0m0s","24h0m0s",1,true]`)
	show("GET", "db=x", `show retention policies`, `["autogen","720h0m0s","24h0m0s",1,true]`)
	done(`CREATE RETENTION POLICY "two_weeks" ON "x" DURATION 2w REPLICATION 1`)
	done(`CREATE RETENTION POLICY hour ON x DURATION 1h30m REPLICATION 2 SHARD DURATION 30m DEFAULT`)
	show("POST", "", `SHOW RETENTION POLICIES ON x`, `["autogen","720h0m0s","24h0m0s",1,false],["two_weeks","336h0m0s","24h0m0s",1,false],["hour","1h30m0s","30m0s",2,true]`)
	show("POST", "", `SHOW RETENTION POLICIES ON y`, `["autogen","720h0m0s","24h0m0s",1,true]`)
	done(`ALTER RETENTION POLICY two_weeks ON x DURATION INF DEFAULT`)
	done(`DROP RETENTION POLICY hour ON x`)
	show("POST", "", `SHOW RETENTION POLICIES ON x`, `["autogen","720h0m0s","24h0m0s",1,false],["two_weeks","0s","24h0m0s",1,true]`)
	done(`DROP RETENTION POLICY never ON x`)
	done(`ALTER RETENTION POLICY autogen ON x DURATION 1d`)
	refused(`DROP RETENTION POLICY autogen ON x`, "nothing was deleted")
	refused(`ALTER RETENTION POLICY never ON x DURATION 1d`, "retention policy not found: never")
	refused(`CREATE RETENTION POLICY a ON x DURATION 1d`, "needs DURATION and REPLICATION")
	refused(`CREATE RETENTION POLICY a ON x DURATION 1 REPLICATION 1`, `invalid duration "1"`)
	refused(`CREATE RETENTION POLICY a ON x DURATION 99999999999999999999d REPLICATION 1`, "invalid duration")
	refused(`CREATE RETENTION POLICY a ON x DURATION 9223372036854775807w REPLICATION 1`, "invalid duration")
	refused(`CREATE RETENTION POLICY a ON x DURATION 1d REPLICATION 0`, "must be 1 <= n")
	refused(`CREATE RETENTION POLICY a ON x DURATION`, "found EOF after DURATION")
	refused(`CREATE RETENTION POLICY a ON x FOREVER 1`, "found forever")
	refused(`CREATE RETENTION POLICY a`, "want RETENTION POLICY name ON database")
	if r := d.influxQuery("POST", "", `CREATE RETENTION POLICY b ON x DURATION 1d REPLICATION 1`); len(r.Messages) != 1 || r.Messages[0].Level != "warning" || !strings.Contains(r.Messages[0].Text, "kept for 720h0m0s") {
		t.Errorf("the response does not say that the policy has no effect: %+v", r)
	}
}

func TestInfluxStatementsThatChangeStateNeedPost(t *testing.T) {
	d := openDoor(t)
	if r := d.influxQuery("POST", "", "CREATE DATABASE kept"); r.Error != "" {
		t.Fatal(r)
	}
	for _, q := range []string{"CREATE DATABASE new", "DROP DATABASE kept", "create retention policy p on kept duration 1d replication 1", "DROP RETENTION POLICY p ON kept", "DELETE FROM m"} {
		if r := d.influxQuery("GET", "", q); !strings.Contains(r.Error, "please use a POST request instead") {
			t.Errorf("GET %s: %+v", q, r)
		}
	}
	r := d.influxQuery("GET", "", "SHOW DATABASES")
	if got, _ := json.Marshal(r.Series[0].Values); string(got) != `[["_internal"],["kept"]]` {
		t.Errorf("databases after GETs that change them: %s", got)
	}
}

func TestRefusalsHaveTheFormOfTheirProtocol(t *testing.T) {
	in := New(Options{})
	for _, c := range []struct {
		path   string
		status int
		known  bool
		body   string
		header string
	}{
		{"/write", 401, true, `{"error":"authorization failed"}`, "X-Influxdb-Version"},
		{"/query", 403, true, `{"error":"why"}`, "X-Influxdb-Error"},
		{"/ping", 401, true, `{"error":"authorization failed"}`, "X-Influxdb-Version"},
		{"/api/v2/write", 401, true, `{"code":"unauthorized","message":"unauthorized access"}`, "X-Platform-Error-Code"},
		{"/api/v2/anything", 403, true, `{"code":"forbidden","message":"why"}`, "X-Platform-Error-Code"},
		{"/ready", 401, true, `{"code":"unauthorized","message":"unauthorized access"}`, "X-Influxdb-Version"},
		{"/api/v1/write", 403, true, "why", "Content-Type"},
		{"/api/v1/query", 401, false, "", ""},
	} {
		w := httptest.NewRecorder()
		known := in.Refuse(w, httptest.NewRequest("POST", c.path, nil), c.status, "why")
		if known != c.known || known && (w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.body || w.Header().Get(c.header) == "") {
			t.Errorf("%s: %v %d %s %v", c.path, known, w.Code, w.Body, w.Header())
		}
	}
}
