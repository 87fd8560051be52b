package ingest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestInfluxPingAndHealth(t *testing.T) {
	d := openDoor(t)
	for _, method := range []string{"GET", "HEAD"} {
		a := d.do(method, "/ping", nil)
		if a.code != 204 || a.body != "" || !strings.HasPrefix(a.header.Get("X-Influxdb-Version"), "1.8.") || a.header.Get("X-Influxdb-Build") == "" ||
			a.header.Get("Request-Id") == "" || a.header.Get("Request-Id") != a.header.Get("X-Request-Id") {
			t.Errorf("%s /ping: %d %v", method, a.code, a.header)
		}
	}
	if a := d.do("GET", "/ping?verbose=true", nil); a.code != 200 || !strings.Contains(a.body, `"version":"1.8.`) {
		t.Errorf("verbose ping: %d %s", a.code, a.body)
	}
	if a := d.do("GET", "/ping", nil, "X-Request-Id", "mine"); a.header.Get("Request-Id") != "mine" {
		t.Errorf("request id: %v", a.header)
	}
	if a := d.do("POST", "/ping", nil); a.code != 405 {
		t.Errorf("POST /ping: %d", a.code)
	}
	a := d.do("GET", "/health", nil)
	var h map[string]any
	if err := json.Unmarshal([]byte(a.body), &h); err != nil || a.code != 200 || h["status"] != "pass" || h["name"] != "influxdb" ||
		h["message"] != "ready for queries and writes" || h["version"] == "" || h["checks"] == nil {
		t.Errorf("/health: %d %s", a.code, a.body)
	}
}

func TestInfluxQueryAnswersStatementsSentBeforeWrites(t *testing.T) {
	d := openDoor(t)
	query := func(method, q string) answer {
		t.Helper()
		form := "q=" + strings.NewReplacer(" ", "+", `"`, "%22", ";", "%3B").Replace(q)
		if method == "GET" {
			return d.do("GET", "/query?"+form, nil)
		}
		return d.do("POST", "/query?chunked=true&db=&epoch=ns", []byte(form), "Content-Type", "application/x-www-form-urlencoded")
	}
	check := func(method, q string, code int, want string) {
		t.Helper()
		if a := query(method, q); a.code != code || !strings.Contains(a.body, want) {
			t.Errorf("%s %s: %d %s, want %d %s", method, q, a.code, a.body, code, want)
		}
	}
	databases := func(names ...string) string {
		rows := `["` + strings.Join(names, `"],["`) + `"]`
		return `{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"],"values":[` + rows + `]}]}]}`
	}
	check("GET", "SHOW DATABASES", 200, databases("_internal"))
	check("POST", `CREATE DATABASE "telegraf"`, 200, `{"results":[{"statement_id":0}]}`)
	check("POST", "create database bench WITH REPLICATION 1", 200, `{"results":[{"statement_id":0}]}`)
	check("POST", "show databases", 200, databases("_internal", "bench", "telegraf"))
	if a := d.do("POST", "/write?db=used", []byte("m v=1")); a.code != 204 {
		t.Fatal(a)
	}
	check("POST", "SHOW DATABASES;", 200, databases("_internal", "bench", "telegraf", "used"))
	check("POST", "DROP DATABASE used", 200, "nothing was deleted") // not an administrator
	check("POST", "DROP DATABASE bench", 200, `{"results":[{"statement_id":0}]}`)
	check("POST", "DROP DATABASE never_was", 200, `{"results":[{"statement_id":0}]}`)
	check("GET", "SHOW DATABASES", 200, databases("_internal", "telegraf", "used"))
	check("POST", `CREATE DATABASE a;CREATE DATABASE "b c"; SELECT * FROM m`, 200, `{"results":[{"statement_id":0},{"statement_id":1},{"statement_id":2,"error":"not supported`)
	check("GET", "SHOW DATABASES", 200, databases("_internal", "a", "b c", "telegraf", "used"))
	check("GET", "SELECT * FROM m", 200, `"error":"not supported`)
	check("POST", `CREATE DATABASE ""`, 200, `"error":"invalid name"`)
	check("GET", "", 400, `missing required parameter \"q\"`)
	check("POST", strings.Repeat("SHOW DATABASES;", 101), 400, "too many statements")
	if a := d.do("POST", "/query", append([]byte("q="), bytes.Repeat([]byte("x"), 2<<20)...), "Content-Type", "application/x-www-form-urlencoded"); a.code != 413 {
		t.Errorf("huge query: %d", a.code)
	}
	if a := d.do("PUT", "/query?q=SHOW+DATABASES", nil); a.code != 405 {
		t.Errorf("PUT: %d", a.code)
	}
	if got := len(d.storedSeries()); got != 1 {
		t.Errorf("%d series after all of this", got)
	}
}
