package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

func deflated(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

// field appends a field with a length.
func field(dst []byte, number byte, content []byte) []byte {
	return append(binary.AppendUvarint(append(dst, number<<3|2), uint64(len(content))), content...)
}

func TestDataDogSeries(t *testing.T) {
	sec := base / 1000 * 1000
	want := map[string]map[int64]float64{
		`{__name__="system.load.1", env="prod", host="db1"}`:                                      {sec: 0.7, sec + 10_000: 0.9},
		`{__name__="disk.used", device="sda", host="db1", role="db,web", spare="no_label_value"}`: {sec: 1e9},
		`{__name__="requests", exported_host="a", host="db1"}`:                                    {sec: 17},
		`{__name__="café", host="db1", url="http://x:1/"}`:                                        {sec: math.Inf(1)},
	}
	v1 := fmt.Appendf(nil, `{"series":[
		{"metric":"system.load.1","points":[[%[1]d,0.7],[%[2]d.0,"0.9"]],"type":"gauge","host":"db1","tags":["env:prod"],"interval":10},
		{"metric":"disk.used","points":[[%[1]d,1e9]],"host":"db1","device":"sda","tags":["role:web","spare","role:db","role:web"]},
		{"metric":"requests","points":[[%[1]d,17]],"type":"count","host":"db1","tags":["host:a"]},
		{"metric":"caf\u00e9","points":[[%[1]d,"Infinity"]],"host":"db1","tags":["url:http://x:1/"]},
		{"metric":"empty","points":[],"host":"db1","tags":null}
	]}`, sec/1000, sec/1000+10)
	v2 := fmt.Appendf(nil, `{"series":[
		{"metric":"system.load.1","points":[{"timestamp":%[1]d,"value":0.7},{"value":0.9,"timestamp":%[2]d}],"type":3,"resources":[{"name":"db1","type":"host"}],"tags":["env:prod"]},
		{"metric":"disk.used","points":[{"timestamp":%[1]d,"value":1e9}],"resources":[{"type":"device","name":"sda"},{"type":"host","name":"db1"}],"tags":["spare","role:db","role:web"],"unit":"byte"},
		{"metric":"requests","points":[{"timestamp":%[1]d,"value":17}],"type":1,"interval":10,"resources":[{"name":"db1","type":"host"}],"tags":["host:a","host:db1"]},
		{"metric":"café","points":[{"timestamp":%[1]d,"value":"+Inf"}],"resources":[{"name":"db1","type":"host"}],"tags":["url:http://x:1/"]}
	]}`, sec/1000, sec/1000+10)
	point := func(t int64, v float64) []byte {
		b := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(v))
		return binary.AppendUvarint(append(b, 2<<3), uint64(t/1000))
	}
	series := func(metric string, points [][]byte, device string, tags ...string) []byte {
		b := field(nil, 1, field(field(nil, 1, []byte("host")), 2, []byte("db1")))
		if device != "" {
			b = field(b, 1, field(field(nil, 1, []byte("device")), 2, []byte(device)))
		}
		b = field(b, 2, []byte(metric))
		for _, tag := range tags {
			b = field(b, 3, []byte(tag))
		}
		for _, p := range points {
			b = field(b, 4, p)
		}
		return append(field(append(b, 5<<3, 3), 6, []byte("byte")), 8<<3, 10)
	}
	var message []byte
	for _, s := range [][]byte{
		series("system.load.1", [][]byte{point(sec, 0.7), point(sec+10_000, 0.9)}, "", "env:prod"),
		series("disk.used", [][]byte{point(sec, 1e9)}, "sda", "role:web", "spare", "role:db"),
		series("requests", [][]byte{point(sec, 17)}, "", "host:a"),
		series("café", [][]byte{point(sec, math.Inf(1))}, "", "url:http://x:1/"),
	} {
		message = field(message, 1, s)
	}
	for name, send := range map[string]func(d *server) answer{
		"v1": func(d *server) answer { return d.do("POST", "/datadog/api/v1/series", v1) },
		"v1, deflate": func(d *server) answer {
			return d.do("POST", "/datadog/api/v1/series?api_key=x", deflated(t, v1), "Content-Encoding", "deflate", "Content-Type", "application/json")
		},
		"v2, gzip": func(d *server) answer {
			return d.do("POST", "/api/v2/series", gzipped(t, v2), "Content-Encoding", "gzip")
		},
		"v2, zstd": func(d *server) answer {
			return d.do("POST", "/datadog/api/v2/series", zstandard(t, v2), "Content-Encoding", "zstd")
		},
		"message": func(d *server) answer {
			return d.do("POST", "/api/v2/series", message, "Content-Type", "application/x-protobuf")
		},
		"message, zstd": func(d *server) answer {
			return d.do("POST", "/api/v2/series", zstandard(t, message), "Content-Type", "application/x-protobuf", "Content-Encoding", "zstd")
		},
		"message, deflate": func(d *server) answer {
			return d.do("POST", "/api/v2/series", deflated(t, message), "Content-Type", "application/x-protobuf", "Content-Encoding", "deflate")
		},
	} {
		ok := `{"errors":[]}`
		if strings.HasPrefix(name, "v1") {
			ok = `{"status":"ok"}`
		}
		d := openDoor(t)
		for range 2 {
			if a := send(d); a.code != 202 || a.body != ok {
				t.Fatalf("%s: %d %s", name, a.code, a.body)
			}
		}
		if got := d.storedFloats(); !maps.EqualFunc(got, want, func(a, b map[int64]float64) bool { return maps.Equal(a, b) }) {
			t.Errorf("%s: stored %v", name, got)
		}
	}
}

func TestDataDogRefusals(t *testing.T) {
	d := openDoor(t)
	for body, want := range map[string]string{
		fmt.Sprintf(`{"series":[{"metric":"m","points":[[%d,1],[1,1],["x",1],[%[1]d,"x"],[1e300,1]]},{"points":[[%[1]d,1]]},{"metric":"n","points":[[%[1]d,1]],"tags":[{}]}]}`, base/1000): `{"errors":["partial write: 1 written, 6 refused: `,
		`{"series":[`:                          `{"errors":["decode series: malformed JSON after 11 bytes: unexpected end of JSON input"]}`,
		`{"series":[{"metric":"m","points":[}`: `{"errors":["decode series: malformed JSON`,
		`[]`:                                   `{"errors":["decode series: malformed JSON: the body must be an object"]}`,
	} {
		for range 2 {
			if a := d.do("POST", "/api/v2/series", []byte(body)); a.code != 400 || !strings.HasPrefix(a.body, want) {
				t.Errorf("%s: %d %s", body, a.code, a.body)
			}
		}
	}
	for _, part := range []string{"(too_old, 1)", "(bad_time, 2)", "(bad_value, 1)", "(no_name, 1)", "(bad_label, 1)"} {
		a := d.do("POST", "/api/v2/series", fmt.Appendf(nil, `{"series":[{"metric":"m","points":[[%d,1],[1,1],["x",1],[%[1]d,"x"],[1e300,1]]},{"points":[[%[1]d,1]]},{"metric":"n","points":[[%[1]d,1]],"tags":[{}]}]}`, base/1000))
		if !strings.Contains(a.body, part) {
			t.Errorf("%s, want %s", a.body, part)
		}
	}
	if a := d.do("POST", "/api/v2/series", []byte("\x0a\x05x"), "Content-Type", "application/x-protobuf"); a.code != 400 || !strings.Contains(a.body, `{"errors":["decode MetricPayload: malformed protobuf at byte 0"]}`) {
		t.Errorf("%d %s", a.code, a.body)
	}
	tags := strings.Repeat(`"a:b",`, 200)
	if a := d.do("POST", "/api/v2/series", fmt.Appendf(nil, `{"series":[{"metric":"many","points":[[%d,1]],"tags":[%s"c:d"]}]}`, base/1000, tags)); a.code != 400 || !strings.Contains(a.body, "--limit.labels") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if got := d.storedSeries(); len(got) != 1 {
		t.Errorf("stored %v", got)
	}
}

// The other requests of an agent get answers with which it goes on.
func TestDataDogAgentGoesOn(t *testing.T) {
	d := openDoor(t)
	for _, prefix := range []string{"", "/datadog"} {
		if a := d.do("GET", prefix+"/api/v1/validate", nil); a.code != 200 || a.body != `{"valid":true}` {
			t.Errorf("validate: %d %s", a.code, a.body)
		}
		for _, path := range []string{"/api/v1/check_run", "/intake", "/intake/?api_key=x", "/api/v1/metadata", "/api/beta/sketches"} {
			if a := d.do("POST", prefix+path, []byte("[]")); a.code != 202 || a.body != `{"status":"ok"}` {
				t.Errorf("%s: %d %s", path, a.code, a.body)
			}
		}
	}
	if a := d.do("GET", "/api/v1/status/rejected?door=datadog", nil); !strings.Contains(a.body, "distributions (sketches) are not stored") {
		t.Errorf("%s", a.body)
	}
}

// A POST to /api/v1/series in JSON, or with a key of DataDog, sends series; any other asks
// for them.
func TestDataDogSharesAPath(t *testing.T) {
	d := openDoor(t)
	for _, c := range []struct {
		method, path, name, value, want string
	}{
		{"POST", "/api/v1/series", "Content-Type", "application/json", "/datadog/api/v1/series"},
		{"POST", "/api/v1/series", "Content-Type", "application/json; charset=utf-8", "/datadog/api/v1/series"},
		{"POST", "/api/v1/series", "DD-API-KEY", "x", "/datadog/api/v1/series"},
		{"POST", "/api/v1/series", "Content-Type", "application/x-www-form-urlencoded", ""},
		{"POST", "/api/v1/series", "X", "y", ""},
		{"GET", "/api/v1/series", "Content-Type", "application/json", ""},
		{"POST", "/api/v1/labels", "Content-Type", "application/json", ""},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set(c.name, c.value)
		if got := d.in.Route(r); got != c.want {
			t.Errorf("%v: %q", c, got)
		}
	}
}
