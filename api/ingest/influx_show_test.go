package ingest

import (
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"
)

// Statements about names, as Grafana's data source and the influx command line send them.
func TestInfluxShow(t *testing.T) {
	d := openDoor(t)
	for _, lines := range []string{
		"win_cpu,host=a,dc=x Percent=1,Idle_Time=2 " + ns + "\nwin_cpu,host=b Percent=1 " + ns + "\nmem,host=a free=1,s=\"text\" " + ns + "\nsome\\ one,k\\,1=a\\ b v=1 " + ns,
	} {
		if a := d.do("POST", "/write?db=one", []byte(lines)); a.code != 204 {
			t.Fatal(a)
		}
	}
	if a := d.do("POST", "/write?db=two", []byte("mem,rack=r free=1 "+ns)); a.code != 204 {
		t.Fatal(a)
	}
	if a := d.do("POST", "/api/v1/import/prometheus", []byte("up 1\ndisk_used_bytes{db=\"one\"} 2\n")); a.code != 204 {
		t.Fatal(a)
	}
	list := func(name, columns string, rows ...string) string {
		if name != "" {
			name = `"name":"` + name + `",`
		}
		return `{` + name + `"columns":[` + columns + `],"values":[[` + strings.Join(rows, `],[`) + `]]}`
	}
	for q, want := range map[string]string{
		"SHOW MEASUREMENTS":                                                                 list("measurements", `"name"`, `"disk"`, `"mem"`, `"some one"`, `"win_cpu"`),
		"show measurements on two":                                                          list("measurements", `"name"`, `"mem"`),
		"SHOW MEASUREMENTS LIMIT 1 OFFSET 1":                                                list("measurements", `"name"`, `"mem"`),
		"SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)^WIN/ LIMIT 100":                        list("measurements", `"name"`, `"win_cpu"`),
		`SHOW MEASUREMENTS WITH MEASUREMENT = "mem"`:                                        list("measurements", `"name"`, `"mem"`),
		`SHOW MEASUREMENTS WHERE "host" = 'b'`:                                              list("measurements", `"name"`, `"win_cpu"`),
		`SHOW MEASUREMENTS WHERE time < 1000`:                                               "",
		`SHOW FIELD KEYS FROM "win_cpu"`:                                                    list("win_cpu", `"fieldKey","fieldType"`, `"Idle_Time","float"`, `"Percent","float"`),
		`SHOW FIELD KEYS ON "two"`:                                                          list("mem", `"fieldKey","fieldType"`, `"free","float"`),
		`SHOW TAG KEYS FROM "autogen"."win_cpu"`:                                            list("win_cpu", `"tagKey"`, `"dc"`, `"host"`),
		`SHOW TAG KEYS FROM autogen.win_cpu LIMIT 1`:                                        list("win_cpu", `"tagKey"`, `"dc"`),
		`SHOW TAG KEYS FROM "mem", /cpu$/`:                                                  list("mem", `"tagKey"`, `"host"`) + "," + list("win_cpu", `"tagKey"`, `"dc"`, `"host"`),
		`SHOW TAG VALUES FROM "win_cpu" WITH KEY = "host"`:                                  list("win_cpu", `"key","value"`, `"host","a"`, `"host","b"`),
		`SHOW TAG VALUES FROM "win_cpu" WITH KEY = "host" WHERE "dc" =~ /^x$/ AND time > 0`: list("win_cpu", `"key","value"`, `"host","a"`),
		`SHOW TAG VALUES WITH KEY IN ("dc", "k,1")`:                                         list("some one", `"key","value"`, `"k,1","a b"`) + "," + list("win_cpu", `"key","value"`, `"dc","x"`),
		`SHOW TAG VALUES FROM win_cpu WITH KEY =~ /h.*t/ LIMIT 1 OFFSET 1`:                  list("win_cpu", `"key","value"`, `"host","b"`),
		`SHOW TAG VALUES FROM win_cpu WITH KEY != "host"`:                                   list("win_cpu", `"key","value"`, `"dc","x"`),
		`SHOW SERIES FROM win_cpu`:                                                          list("", `"key"`, `"win_cpu,dc=x,host=a"`, `"win_cpu,host=b"`),
		`SHOW SERIES ON one LIMIT 1 OFFSET 2`:                                               list("", `"key"`, `"some\\ one,k\\,1=a\\ b"`),
		`SHOW TAG VALUES FROM win_cpu`:                                                      `"error":"error parsing query: found EOF, expected WITH KEY"`,
		`SHOW TAG KEYS FROM win_cpu WHERE a = 'x' OR b = 'y'`:                               `"error":"error parsing query: OR is not supported`,
		`SHOW SERIES FROM /(/`:                                                              `"error":"error parsing query: error parsing regexp`,
		`SHOW MEASUREMENTS GROUP BY x`:                                                      `"error":"error parsing query: found \"GROUP\", expected ON, FROM`,
		`SHOW USERS`:                                                                        `"error":"not supported`,
	} {
		a := d.do("GET", "/query?db=one&q="+url.QueryEscape(q), nil)
		if want == "" && a.body != `{"results":[{"statement_id":0}]}` || a.code != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s, want %s", q, a.code, a.body, want)
		}
	}
}

func TestInfluxBuckets(t *testing.T) {
	d := openDoor(t)
	if a := d.do("POST", "/api/v2/write?bucket=one", []byte("m v=1 "+ns)); a.code != 204 {
		t.Fatal(a)
	}
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/api/v2/buckets?name=one&org=o", "", 200, `"type":"user","name":"one","retentionRules":[{"type":"expire"`},
		{"GET", "/api/v2/buckets?name=none", "", 200, `"buckets":[]`},
		{"POST", "/api/v2/buckets", `{"name":"two","orgID":"00"}`, 201, `"orgID":"00","type":"user","name":"two"`},
		{"GET", "/api/v2/buckets?limit=1&offset=1", "", 200, `"name":"two"`},
		{"POST", "/api/v2/buckets", `{"name":""}`, 400, `"code":"invalid"`},
		{"POST", "/api/v2/buckets", `{`, 400, `"code":"invalid"`},
		{"DELETE", "/api/v2/buckets", "", 405, `"code":"method not allowed"`},
		{"GET", "/api/v2/orgs?org=acme", "", 200, `"name":"acme"`},
		{"GET", "/api/v2/setup", "", 200, `{"allowed":false}`},
	} {
		if a := d.do(c.method, c.path, []byte(c.body)); a.code != c.code || !strings.Contains(a.body, c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, a.code, a.body, c.code, c.want)
		}
	}
}

// Statements about more series than may be listed are refused with a message that says
// what to do, and take memory for those that may be listed, not for all that there are.
func TestInfluxShowIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("100,001 series")
	}
	d := openDoor(t)
	var lines []byte
	for i := range 100_001 {
		lines = fmt.Appendf(lines, "m,host=host-%06d v=1 %s\n", i, ns)
	}
	lines = fmt.Appendf(lines, "other,host=x v=1 %s\n", ns)
	if a := d.do("POST", "/write?db=one", lines); a.code != 204 {
		t.Fatal(a)
	}
	for _, place := range []string{"the head", "a block"} {
		for _, c := range []struct {
			statement, want string
			maxBytes        uint64 // allocated
		}{
			{`SHOW SERIES`, "more than 100000 series would be read: name measurements with FROM, or tags with WHERE", 24 << 20},
			{`SHOW SERIES LIMIT 2`, "LIMIT alone does not help", 24 << 20},
			{`SHOW SERIES WHERE host = 'host-000007'`, `[["m,host=host-000007"]]`, 4 << 20},
			{`SHOW SERIES FROM other`, `[["other,host=x"]]`, 4 << 20},
			{`SHOW TAG VALUES WITH KEY = host`, "the answer has more than 100000 rows", 48 << 20},
			{`SHOW TAG VALUES WITH KEY = host LIMIT 2 OFFSET 3`, `[["host","host-000003"],["host","host-000004"]]`, 4 << 20},
			{`SHOW TAG VALUES FROM other WITH KEY = host`, `[["host","x"]]`, 4 << 20},
			{strings.Repeat(`SHOW TAG VALUES WITH KEY = host LIMIT 90000;`, 7), "the answers of a query would take more than 64 MiB", 320 << 20},
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			a := d.do("GET", "/query?db=one&q="+url.QueryEscape(c.statement), nil)
			runtime.ReadMemStats(&after)
			if a.code != 200 || !strings.Contains(a.body, c.want) {
				t.Errorf("%s, %s: %d %.300s, want %s", place, c.statement, a.code, a.body, c.want)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > c.maxBytes {
				t.Errorf("%s, %s: %d bytes were allocated, at most %d are wanted", place, c.statement, n, c.maxBytes)
			}
			if n := d.budget.Used(); n != 0 {
				t.Errorf("%s, %s: %d bytes are still charged", place, c.statement, n)
			}
		}
		if _, err := d.db.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
