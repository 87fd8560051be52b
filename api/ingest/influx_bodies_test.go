package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

func TestInfluxDatabaseBecomesALabel(t *testing.T) {
	for _, c := range []struct {
		name, label, target, line, want string
	}{
		{"1.x", "db", "/write?db=tele", "m v=1 ", `{__name__="m_v", db="tele"}`},
		{"1.x with a retention policy", "db", "/write?db=tele&rp=week", "m v=1 ", `{__name__="m_v", db="tele"}`},
		{"2.x", "db", "/api/v2/write?bucket=tele&org=o", "m v=1 ", `{__name__="m_v", db="tele"}`},
		{"2.x with a retention policy", "db", "/api/v2/write?bucket=tele/week", "m v=1 ", `{__name__="m_v", db="tele"}`},
		{"no database", "db", "/write", "m v=1 ", `{__name__="m_v"}`},
		{"no bucket", "db", "/api/v2/write", "m v=1 ", `{__name__="m_v"}`},
		{"tag of that name", "db", "/write?db=tele", "m,db=mine v=1 ", `{__name__="m_v", db="mine"}`},
		{"escaped tag of that name", "d b", "/write?db=tele", `m,d\ b=mine v=1 `, `{__name__="m_v", "d b"="mine"}`},
		{"another label", "bucket", "/write?db=tele", "m,db=mine v=1 ", `{__name__="m_v", bucket="tele", db="mine"}`},
		{"off", "", "/write?db=tele", "m v=1 ", `{__name__="m_v"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t, func(o *Options, _ *storage.Options) { o.InfluxDBLabel = c.label })
			for range 2 { // not known, then known
				if a := d.do("POST", c.target, []byte(c.line+ns)); a.code != 204 {
					t.Fatalf("got %d %s", a.code, a.body)
				}
			}
			if got := d.storedSeries(); !slices.Equal(got, []string{c.want}) {
				t.Errorf("stored %v, want %s", got, c.want)
			}
		})
	}
	t.Run("the same line into two databases", func(t *testing.T) {
		d := openDoor(t)
		for _, db := range []string{"a", "b", "a", ""} {
			if a := d.do("POST", "/write?db="+db, []byte("m v=1 "+ns)); a.code != 204 {
				t.Fatalf("got %d %s", a.code, a.body)
			}
		}
		if got := d.storedSeries(); !slices.Equal(got, []string{`{__name__="m_v", db="a"}`, `{__name__="m_v", db="b"}`, `{__name__="m_v"}`}) {
			t.Errorf("stored %v", got)
		}
	})
	t.Run("a name that is no label value", func(t *testing.T) {
		d := openDoor(t)
		if a := d.do("POST", "/write?db=%ff", []byte("m v=1 "+ns)); a.code != 400 || len(d.stored()) != 0 {
			t.Errorf("got %d %s", a.code, a.body)
		}
	})
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestInfluxBodies(t *testing.T) {
	line := []byte("m v=1 " + ns + "\n")
	stored := []string{`{__name__="m_v"}`}
	for _, path := range []string{"/write", "/api/v2/write", "/api/v3/write_lp"} {
		for _, c := range []struct {
			name    string
			body    []byte
			headers []string
			want    int
			says    string
			stored  []string
		}{
			{"plain", line, nil, 204, "", stored},
			{"no newline at the end", bytes.TrimSuffix(line, []byte("\n")), nil, 204, "", stored},
			{"content type of text", line, []string{"Content-Type", "text/plain; charset=utf-8"}, 204, "", stored},
			{"content type of curl", line, []string{"Content-Type", "application/x-www-form-urlencoded"}, 204, "", stored},
			{"gzip", gzipped(t, line), []string{"Content-Encoding", "gzip"}, 204, "", stored},
			{"identity", line, []string{"Content-Encoding", "identity"}, 204, "", stored},
			{"empty", nil, nil, 204, "", nil},
			{"empty gzip", gzipped(t, nil), []string{"Content-Encoding", "gzip"}, 204, "", nil},
			{"announced gzip of nothing", nil, []string{"Content-Encoding", "gzip"}, 204, "", nil},
			{"only comments", []byte("# a\n\n#b\n"), nil, 204, "", nil},
			{"not gzip", line, []string{"Content-Encoding", "gzip"}, 400, "gzip", nil},
			{"cut gzip", gzipped(t, line)[:20], []string{"Content-Encoding", "gzip"}, 400, "gzip", nil},
			{"deflate", line, []string{"Content-Encoding", "deflate"}, 415, "use gzip or none", nil},
			{"remote write", doortest.Snap(doortest.Marshal1(t, doortest.Request1(doortest.Sample1(base, 1, "__name__", "m")))), []string{"Content-Type", type1, "Content-Encoding", "snappy"}, 415, "/api/v1/write", nil},
			{"remote write without an encoding", doortest.Snap(nil), []string{"Content-Type", type2}, 415, "/api/v1/write", nil},
		} {
			t.Run(path+" "+c.name, func(t *testing.T) {
				d := openDoor(t)
				a := d.do("POST", path, c.body, c.headers...)
				if a.code != c.want || !strings.Contains(a.body, c.says) {
					t.Errorf("got %d %s, want %d with %q", a.code, a.body, c.want, c.says)
				}
				if c.want != 204 && !json.Valid([]byte(a.body)) {
					t.Errorf("no JSON: %s", a.body)
				}
				if got := d.storedSeries(); !slices.Equal(got, c.stored) {
					t.Errorf("stored %v", got)
				}
			})
		}
		t.Run(path+" chunked", func(t *testing.T) {
			d := openDoor(t)
			server := httptest.NewServer(d.mux)
			defer server.Close()
			r, err := http.NewRequest("POST", server.URL+path, io.MultiReader(bytes.NewReader(gzipped(t, line)))) // of no known length
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Encoding", "gzip")
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 204 || !slices.Equal(d.storedSeries(), stored) {
				t.Errorf("got %d, stored %v", resp.StatusCode, d.storedSeries())
			}
		})
		t.Run(path+" GET", func(t *testing.T) {
			d := openDoor(t)
			if a := d.do("GET", path, nil); a.code != 405 || a.header.Get("Allow") != "POST, OPTIONS" {
				t.Errorf("got %d %s", a.code, a.body)
			}
		})
	}
}
