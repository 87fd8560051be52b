package ingest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tsdb/api/adminctx"
)

// asAdmin sends a request whose client may use the admin paths.
func (d *server) asAdmin(method, path, body string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r = r.WithContext(adminctx.Allow(r.Context()))
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, r)
	return answer{code: w.Code, header: w.Header(), body: w.Body.String()}
}

// fillInflux writes points of two databases, 10 a series and a second apart.
func fillInflux(t *testing.T) (d *server, names func() []string) {
	t.Helper()
	d = openDoor(t)
	for _, db := range []string{"a", "b"} {
		var lines strings.Builder
		for k := range 10 {
			at := testNow.UnixNano() - int64(k)*1e9 + 123_456
			fmt.Fprintf(&lines, "cpu,host=h1 idle=1,user=2 %d\ncpu,host=h2 idle=1 %d\nmy\\ disk,host=h1 used=1 %d\n", at, at, at)
		}
		if a := d.do("POST", "/write?db="+db, []byte(lines.String())); a.code != 204 {
			t.Fatal(a)
		}
	}
	return d, func() []string {
		var all []string
		for name, s := range d.stored() {
			if s.Len() > 0 {
				all = append(all, fmt.Sprintf("%s:%d", name, s.Len()))
			}
		}
		slices.Sort(all)
		return all
	}
}

const (
	cpu1  = `{__name__="cpu_idle", db="a", host="h1"}`
	cpu1u = `{__name__="cpu_user", db="a", host="h1"}`
	cpu2  = `{__name__="cpu_idle", db="a", host="h2"}`
	disk  = `{__name__="my disk_used", db="a", host="h1"}`
)

// What each request and statement leaves of database a; database b stays.
func TestInfluxDeletes(t *testing.T) {
	ns := func(s int) string { return fmt.Sprint(testNow.UnixNano() - int64(s)*1e9) }
	rfc := func(s int) string { return testNow.Add(-time.Duration(s) * time.Second).UTC().Format(time.RFC3339Nano) }
	body := func(start, stop, predicate string) string {
		b, _ := json.Marshal(map[string]string{"start": start, "stop": stop, "predicate": predicate})
		return string(b)
	}
	all := body("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "")
	for _, c := range []struct {
		name, request string // the body of /api/v2/delete, or a statement
		want          map[string]int
	}{
		{"everything of a bucket", all, map[string]int{}},
		{"a measurement", body("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", `_measurement="cpu"`), map[string]int{disk: 10}},
		{"a field", body("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", `_measurement="cpu" and _field = "user"`), map[string]int{cpu1: 10, cpu2: 10, disk: 10}},
		{"a tag", body("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", `(host="h1")`), map[string]int{cpu2: 10}},
		{"two tags and a space", body("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", `"_measurement"='my disk' AND (host="h1" AND nosuch="")`), map[string]int{cpu1: 10, cpu1u: 10, cpu2: 10}},
		{"times, both inclusive", body(rfc(5), rfc(3), `host="h2"`), map[string]int{cpu1: 10, cpu1u: 10, cpu2: 7, disk: 10}},
		{"nothing", body(rfc(5), rfc(3), `host="h3"`), map[string]int{cpu1: 10, cpu1u: 10, cpu2: 10, disk: 10}},

		{"", `DROP DATABASE a`, map[string]int{}},
		{"", `DROP DATABASE "a"`, map[string]int{}},
		{"", `DROP MEASUREMENT cpu`, map[string]int{disk: 10}},
		{"", `drop measurement "my disk"`, map[string]int{cpu1: 10, cpu1u: 10, cpu2: 10}},
		{"", `DROP SERIES FROM cpu WHERE host='h1'`, map[string]int{cpu2: 10, disk: 10}},
		{"", `DROP SERIES FROM "cpu", "my disk" WHERE "host" = 'h1'`, map[string]int{cpu2: 10}},
		{"", `DROP SERIES WHERE host =~ /^h[2-9]$/`, map[string]int{cpu1: 10, cpu1u: 10, disk: 10}},
		{"", `DROP SERIES FROM cpu WHERE host !~ /1/ AND host <> ''`, map[string]int{cpu1: 10, cpu1u: 10, disk: 10}},
		{"", `DELETE FROM cpu`, map[string]int{disk: 10}},
		{"", `DELETE FROM cpu WHERE time < ` + ns(5) + ` AND host = 'h2'`, map[string]int{cpu1: 10, cpu1u: 10, cpu2: 6, disk: 10}},
		{"", `DELETE WHERE time >= now() - 3s`, map[string]int{cpu1: 6, cpu1u: 6, cpu2: 6, disk: 6}},
		{"", `DELETE FROM cpu WHERE time > '` + rfc(3) + `' AND host = 'h2'`, map[string]int{cpu1: 10, cpu1u: 10, cpu2: 7, disk: 10}},
		{"", `DELETE FROM cpu WHERE time > 10 AND time < 5`, map[string]int{cpu1: 10, cpu1u: 10, cpu2: 10, disk: 10}},
	} {
		t.Run(c.name+c.request, func(t *testing.T) {
			d, names := fillInflux(t)
			if c.name != "" {
				if a := d.asAdmin("POST", "/api/v2/delete?org=o&bucket=a%2Frp", c.request); a.code != http.StatusNoContent {
					t.Errorf("%d %s", a.code, a.body)
				}
			} else if a := d.asAdmin("POST", "/query?db=a&q="+strings.NewReplacer(" ", "+", `"`, "%22", "<", "%3C", ">", "%3E").Replace(c.request), ""); a.code != 200 || strings.Contains(a.body, `"error"`) {
				t.Errorf("%d %s", a.code, a.body)
			}
			var want []string
			for name, n := range c.want {
				want = append(want, fmt.Sprintf("%s:%d", name, n))
			}
			for _, name := range []string{cpu1, cpu1u, cpu2, disk} {
				want = append(want, strings.Replace(name, `db="a"`, `db="b"`, 1)+":10")
			}
			slices.Sort(want)
			if got := names(); !slices.Equal(got, want) {
				t.Errorf("left\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// Requests that cannot be done delete nothing and have the protocol's own errors;
// statements that delete are for administrators.
func TestInfluxDeletesThatAreRefused(t *testing.T) {
	d, names := fillInflux(t)
	before := names()
	ok := `"start":"1970-01-01T00:00:00Z","stop":"2100-01-01T00:00:00Z"`
	for _, c := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"?bucket=a", `{`, 400, "error parsing request json"},
		{"", `{` + ok + `}`, 400, "Please provide bucket"},
		{"?bucket=a", `{"start":"yesterday","stop":"2100-01-01T00:00:00Z"}`, 400, "invalid RFC3339Nano for field start"},
		{"?bucket=a", `{"start":"2100-01-01T00:00:00Z","stop":"1970-01-01T00:00:00Z"}`, 400, "start is after stop"},
		{"?bucket=a", `{` + ok + `,"predicate":"host"}`, 400, "expected an operator"},
		{"?bucket=a", `{` + ok + `,"predicate":"host='h1' OR host='h2'"}`, 400, "OR is not supported"},
		{"?bucket=a", `{` + ok + `,"predicate":"(host='h1'"}`, 400, "brackets"},
		{"?bucket=a", `{` + ok + `,"predicate":"host='h1"}`, 400, "quote"},
		{"?bucket=a", `{` + ok + `,"predicate":"_field='idle'"}`, 400, "_field needs _measurement"},
		{"?bucket=a", `{` + ok + `,"predicate":"time>5"}`, 400, "given by start and stop"},
	} {
		a := d.asAdmin("POST", "/api/v2/delete"+c.path, c.body)
		var e struct{ Code, Message string }
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.code != c.code || e.Code != "invalid" || !strings.Contains(e.Message, c.want) {
			t.Errorf("%s %s: %d %s", c.path, c.body, a.code, a.body)
		}
	}
	if a := d.asAdmin("GET", "/api/v2/delete?bucket=a", ""); a.code != 405 {
		t.Errorf("GET: %d", a.code)
	}
	for _, c := range []struct{ q, db, want string }{
		{"DROP MEASUREMENT cpu", "", "database name required"},
		{"DROP MEASUREMENT", "a", "want DROP MEASUREMENT measurement"},
		{"DROP SERIES", "a", "expected FROM, WHERE"},
		{"DELETE", "a", "expected FROM, WHERE"},
		{"DELETE FROM", "a", "name of a measurement"},
		{"DELETE FROM cpu WHERE", "a", "found EOF after WHERE"},
		{"DELETE FROM cpu LIMIT 1", "a", "expected WHERE"},
		{"DROP SERIES FROM cpu WHERE time = 1", "a", "doesn't support time"},
		{"DELETE FROM cpu WHERE time = 'x'", "a", "invalid time"},
		{"DELETE FROM cpu WHERE host ~ 'x'", "a", "expected an operator"},
		{"DELETE FROM cpu WHERE host =~ /(/", "a", "missing closing"},
	} {
		a := d.asAdmin("POST", "/query?db="+c.db+"&q="+strings.ReplaceAll(c.q, " ", "+"), "")
		if a.code != 200 || !strings.Contains(a.body, `"error":`) || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d %s", c.q, a.code, a.body)
		}
	}
	for _, q := range []string{"DROP DATABASE a", "DROP MEASUREMENT cpu", "DROP SERIES FROM cpu", "DELETE FROM cpu"} {
		if r := d.influxQuery("POST", "db=a", q); !strings.Contains(r.Error, "only clients on this machine") {
			t.Errorf("%s of a client without rights: %+v", q, r)
		}
	}
	if got := names(); !slices.Equal(got, before) {
		t.Errorf("left\n%s", strings.Join(got, "\n"))
	}
}
