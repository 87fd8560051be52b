package ingest

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/doortest"
)

const (
	type1 = "application/x-protobuf"
	type2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// write1 sends a remote-write 1 request.
func (d *server) write1(q *prompb.WriteRequest) answer {
	d.t.Helper()
	return d.do("POST", "/api/v1/write", doortest.Snap(doortest.Marshal1(d.t, q)), "Content-Type", type1, "Content-Encoding", "snappy")
}

// write2 sends a remote-write 2 request.
func (d *server) write2(q *writev2.Request) answer {
	d.t.Helper()
	return d.do("POST", "/api/v1/write", doortest.Snap(doortest.Marshal2(d.t, q)), "Content-Type", type2, "Content-Encoding", "snappy")
}

func (a answer) written(t *testing.T) [3]string {
	t.Helper()
	return [3]string{a.header.Get("X-Prometheus-Remote-Write-Samples-Written"), a.header.Get("X-Prometheus-Remote-Write-Histograms-Written"), a.header.Get("X-Prometheus-Remote-Write-Exemplars-Written")}
}

func TestRemoteWriteChecksHeadersBeforeTheBody(t *testing.T) {
	garbage := []byte("\xff\xff\xff\xff garbage that is no snappy block")
	good1 := doortest.Snap(doortest.Marshal1(t, doortest.Request1(doortest.Sample1(base, 1, "__name__", "m"))))
	good2 := doortest.Snap(doortest.Marshal2(t, doortest.NewBuilder2().Sample(base, 1, "__name__", "m").Request()))
	for _, c := range []struct {
		name, method, path string
		body               []byte
		headers            []string
		want               int
		says               string
	}{
		{name: "version 1", body: good1, headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 204},
		{name: "version 1 with its message named", body: good1, headers: []string{"Content-Type", type1 + ";proto=prometheus.WriteRequest", "Content-Encoding", "snappy"}, want: 204},
		{name: "version 2", body: good2, headers: []string{"Content-Type", type2, "Content-Encoding", "snappy"}, want: 204},
		{name: "version header 2.1 is not looked at", body: good2, headers: []string{"Content-Type", type2, "X-Prometheus-Remote-Write-Version", "2.1.7"}, want: 204},
		{name: "version header may contradict", body: good1, headers: []string{"Content-Type", type1, "X-Prometheus-Remote-Write-Version", "2.0.0"}, want: 204},
		{name: "push path", path: "/api/v1/push", body: good1, headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 204},
		{name: "no content type is version 1", body: good1, headers: []string{"Content-Encoding", "snappy"}, want: 204},
		{name: "no encoding is snappy", body: good1, headers: []string{"Content-Type", type1}, want: 204},
		{name: "space and case as in RFC 9110", body: good2, headers: []string{"Content-Type", `Application/X-Protobuf ; Proto="io.prometheus.write.v2.Request";`, "Content-Encoding", "Snappy"}, want: 204},
		{name: "other parameters", body: good1, headers: []string{"Content-Type", type1 + "; charset=utf-8"}, want: 204},
		{name: "unknown media type", body: garbage, headers: []string{"Content-Type", "application/json", "Content-Encoding", "snappy"}, want: 415, says: "/api/v2/write"},
		{name: "unknown message", body: garbage, headers: []string{"Content-Type", type1 + ";proto=io.prometheus.write.v3.Request", "Content-Encoding", "snappy"}, want: 415, says: "unknown type for remote write protobuf message"},
		{name: "broken parameter", body: garbage, headers: []string{"Content-Type", type1 + ";proto", "Content-Encoding", "snappy"}, want: 415, says: "key-values"},
		{name: "unknown encoding", body: garbage, headers: []string{"Content-Type", type1, "Content-Encoding", "zstd"}, want: 415, says: "only snappy is acceptable"},
		{name: "both wrong", body: garbage, headers: []string{"Content-Type", "text/plain", "Content-Encoding", "gzip"}, want: 415},
		{name: "lines of a form post", body: []byte("m,a=b v=1 1\n"), headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, want: 415, says: "InfluxDB line protocol goes to /write or /api/v2/write"},
		{name: "lines without headers", body: []byte("m,a=b v=1 1\nm,a=c v=2 1\n"), want: 415, says: "InfluxDB line protocol goes to /write or /api/v2/write"},
		{name: "PUT", method: "PUT", body: good1, headers: []string{"Content-Type", type1}, want: 405},
		{name: "corrupt snappy", body: garbage, headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 400, says: "snappy"},
		{name: "framed snappy", body: []byte("\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00abcde"), headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 400},
		{name: "corrupt protobuf", body: doortest.Snap([]byte("\x0a\xff\x01")), headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 400, says: "malformed protobuf"},
		{name: "corrupt protobuf of version 2", body: doortest.Snap([]byte("\x2a\xff\x01")), headers: []string{"Content-Type", type2, "Content-Encoding", "snappy"}, want: 400, says: "malformed protobuf"},
		{name: "nothing in it", body: doortest.Snap(nil), headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 204},
		{name: "no body", headers: []string{"Content-Type", type1, "Content-Encoding", "snappy"}, want: 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t)
			method, path := c.method, c.path
			if method == "" {
				method = "POST"
			}
			if path == "" {
				path = "/api/v1/write"
			}
			a := d.do(method, path, c.body, c.headers...)
			if a.code != c.want || !strings.Contains(a.body, c.says) {
				t.Fatalf("got %d %q, want %d with %q", a.code, a.body, c.want, c.says)
			}
			if c.want == 204 && a.body != "" {
				t.Errorf("204 with body %q", a.body)
			}
			want := 0
			if c.want == 204 && c.name != "nothing in it" {
				want = 1
			}
			if got := d.stored(); len(got) != want {
				t.Errorf("%d series stored, want %d", len(got), want)
			}
			if c.want == 405 && a.header.Get("Allow") != "GET, HEAD, OPTIONS, POST" {
				t.Errorf("Allow: %q", a.header.Get("Allow"))
			}
		})
	}
}

func TestRemoteWriteSendsWrittenHeadersForVersion2Only(t *testing.T) {
	d := openDoor(t)
	good := doortest.NewBuilder2().Sample(base, 1, "__name__", "m")
	good.Series[0].Samples = append(good.Series[0].Samples, writev2.Sample{Timestamp: base + 1, Value: 2})
	good.Series[0].Exemplars = []writev2.Exemplar{{Timestamp: base, Value: 3, LabelsRefs: good.Refs("trace_id", "x")}}
	good.Add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, base, doortest.NewHistogram())}}, "__name__", "h")
	if a := d.write2(good.Request()); a.code != 204 || a.written(t) != [3]string{"2", "1", "1"} {
		t.Errorf("all good: %d, written %v: %s", a.code, a.written(t), a.body)
	}
	partial := doortest.NewBuilder2().Sample(base, 1, "__name__", "a").Sample(base, 1, "__name__", "b").Sample(base, 1, "__name__", "c").Sample(base, 1, "no", "name")
	if a := d.write2(partial.Request()); a.code != 400 || a.written(t) != [3]string{"3", "0", "0"} || !strings.Contains(a.body, "3 written, 1 refused") {
		t.Errorf("one bad: %d, written %v: %s", a.code, a.written(t), a.body)
	}
	for name, body := range map[string][]byte{"corrupt": []byte("\xff\xff"), "malformed": doortest.Snap([]byte{0x2a, 9})} {
		if a := d.do("POST", "/api/v1/write", body, "Content-Type", type2); a.code != 400 || a.written(t) != [3]string{"0", "0", "0"} {
			t.Errorf("%s: %d, written %v: %s", name, a.code, a.written(t), a.body)
		}
	}
	if a := d.write1(doortest.Request1(doortest.Sample1(base, 1, "__name__", "a"))); a.code != 204 || a.written(t) != [3]string{} {
		t.Errorf("version 1: %d, written %v", a.code, a.written(t))
	}
	// There are no Written headers until the message type is known.
	if a := d.do("POST", "/api/v1/write", nil, "Content-Type", type2, "Content-Encoding", "zstd"); a.code != 415 || a.written(t) != [3]string{} {
		t.Errorf("415: %d, written %v", a.code, a.written(t))
	}
}
