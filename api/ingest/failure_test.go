package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// writes returns a write request per protocol, for tests that apply to all.
func writes(t testing.TB) map[string]*http.Request {
	t.Helper()
	return map[string]*http.Request{
		"remote write 1": newRequest("/api/v1/write", doortest.Snap(doortest.Marshal1(t, doortest.Request1(doortest.Sample1(base, 1, "__name__", "m")))), "Content-Type", type1),
		"remote write 2": newRequest("/api/v1/write", doortest.Snap(doortest.Marshal2(t, doortest.NewBuilder2().Sample(base, 1, "__name__", "m").Request())), "Content-Type", type2),
		"influx 1":       newRequest("/write", []byte("m v=1 "+ns)),
		"influx 2":       newRequest("/api/v2/write", []byte("m v=1 "+ns)),
		"JSON lines":     newRequest("/api/v1/import", fmt.Appendf(nil, `{"metric":{"__name__":"m"},"values":[1],"timestamps":[%d]}`, base)),
		"CSV":            newRequest("/api/v1/import/csv?format=1:metric:m,2:time:unix_ms", fmt.Appendf(nil, "1,%d", base)),
		"OpenTSDB":       newRequest("/api/put", fmt.Appendf(nil, `{"metric":"m","value":1,"timestamp":%d}`, base)),
		"text":           newRequest("/api/v1/import/prometheus", fmt.Appendf(nil, "m 1 %d", base)),
	}
}

func newRequest(target string, body []byte, headers ...string) *http.Request {
	r := httptest.NewRequest("POST", target, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestDatabaseErrorsHaveAStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{fmt.Errorf("commit: %w: the head is full", storage.ErrBusy), 503},
		{fmt.Errorf("commit: %w", storage.ErrPoisoned), 503},
		{storage.ErrStaleRef, 503},
		{storage.ErrClosed, 503},
		{context.Canceled, 503},
		{errors.New("something else"), 500},
	} {
		for name, r := range writes(t) {
			t.Run(name+"/"+c.err.Error(), func(t *testing.T) {
				m := doortest.NewMemory()
				m.OnCommit = func() error { return c.err }
				a := send(t, memoryDoor(t, m), r)
				if a.code != c.want || (a.header.Get("Retry-After") != "") != (c.want == 503) || !strings.Contains(a.body, c.err.Error()) {
					t.Errorf("got %d %q, Retry-After %q, want %d", a.code, a.body, a.header.Get("Retry-After"), c.want)
				}
				if name == "remote write 2" && written3(a) != "0 0 0" {
					t.Errorf("written %q", written3(a))
				}
				if name == "influx 2" && c.want == 503 && a.header.Get("X-Platform-Error-Code") != "unavailable" {
					t.Errorf("code %q", a.header.Get("X-Platform-Error-Code"))
				}
			})
		}
	}
}

func TestWritesWaitForTheDatabaseToOpen(t *testing.T) {
	in := New(Options{InfluxDBLabel: "db", DB: func() (*storage.DB, error) { return nil, fmt.Errorf("%w: replaying the log", storage.ErrBusy) }})
	mux := http.NewServeMux()
	in.Register(mux)
	for name, r := range writes(t) {
		if a := send(t, mux, r); a.code != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "replaying the log") {
			t.Errorf("%s: %d %q", name, a.code, a.body)
		}
	}
	if a := do(t, mux, "GET", "/ping", nil); a.code != 204 {
		t.Errorf("ping: %d", a.code)
	}
	if a := do(t, mux, "GET", "/health", nil); a.code != 503 || !strings.Contains(a.body, `"status":"fail"`) {
		t.Errorf("health: %d %s", a.code, a.body)
	}
	if a := do(t, mux, "GET", "/query?q=SHOW+DATABASES", nil); a.code != 200 || !strings.Contains(a.body, "replaying the log") {
		t.Errorf("query: %d %s", a.code, a.body)
	}
}

func TestRequestsOfStaleRefsAreDecodedAgain(t *testing.T) {
	for name, r := range writes(t) {
		t.Run(name, func(t *testing.T) {
			m := doortest.NewMemory()
			m.OnCommit = func() error {
				if m.Commits <= door.StaleRetries {
					clear(m.Known) // the series and its alias are evicted
					return storage.ErrStaleRef
				}
				return nil
			}
			if a := send(t, memoryDoor(t, m), r); a.code != 204 {
				t.Errorf("got %d %q", a.code, a.body)
			}
			if m.Commits != door.StaleRetries+1 || m.Resolves != door.StaleRetries+1 || len(m.Samples) != 1 {
				t.Errorf("%d commits, %d resolved, %d samples", m.Commits, m.Resolves, len(m.Samples))
			}
		})
	}
	m := doortest.NewMemory()
	m.OnCommit = func() error { return storage.ErrStaleRef }
	if a := send(t, memoryDoor(t, m), writes(t)["remote write 2"]); a.code != 503 || m.Commits != door.StaleRetries+1 {
		t.Errorf("always stale: %d after %d commits", a.code, m.Commits)
	}
}

func TestMetadataAreSentAgainAfterAFailedWrite(t *testing.T) {
	m := doortest.NewMemory()
	mux := memoryDoor(t, m)
	b := doortest.NewBuilder2().Sample(base, 1, "__name__", "m")
	b.Series[0].Metadata.HelpRef = b.Refs("Help.")[0]
	body := doortest.Snap(doortest.Marshal2(t, b.Request()))
	post := func() answer { return do(t, mux, "POST", "/api/v1/write", body, "Content-Type", type2) }
	m.OnCommit = func() error { return storage.ErrBusy }
	if a := post(); a.code != 503 {
		t.Fatal(a)
	}
	m.OnCommit = nil
	for i, want := range []int{1, 0, 0} {
		if a := post(); a.code != 204 || len(m.MetadataOf) != want {
			t.Errorf("write %d: %d, %d metadata", i, a.code, len(m.MetadataOf))
		}
	}
}

// brokenReader fails in the middle of a body.
type brokenReader struct{ after int }

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.after == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := min(r.after, len(p))
	clear(p[:n])
	r.after -= n
	return n, nil
}

func TestTruncatedBodiesStoreNothing(t *testing.T) {
	for name, r := range writes(t) {
		m := doortest.NewMemory()
		r.Body = io.NopCloser(&brokenReader{after: 100_000})
		r.ContentLength = 200_000
		if a := send(t, memoryDoor(t, m), r); a.code != 400 || m.Commits != 0 {
			t.Errorf("%s: %d %q", name, a.code, a.body)
		}
	}
}

func TestBodiesOverTheLimitAreRefused(t *testing.T) {
	const limit = 10_000
	d := openDoor(t, func(o *Options, _ *storage.Options) { o.MaxBodyBytes = limit })
	big := bytes.Repeat([]byte("#234567890123456789\n"), limit/20+1)
	random := make([]byte, limit+1)
	x := uint32(1)
	for i := range random {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	claims := appendVarint(nil, 1<<40) // a block that claims to be very long
	for _, c := range []struct {
		name, target string
		body         []byte
		unknown      bool // without Content-Length
		headers      []string
		want         int
	}{
		{"compressed", "/api/v1/write", doortest.Snap(random), false, []string{"Content-Type", type1}, 413},
		{"compressed, chunked", "/api/v1/write", doortest.Snap(random), true, []string{"Content-Type", type2}, 413},
		{"decoded", "/api/v1/write", doortest.Snap(big), false, []string{"Content-Type", type1}, 413},
		{"claims to be huge", "/api/v1/write", claims, false, []string{"Content-Type", type1}, 400},
		{"claims more than it can be", "/api/v1/write", appendVarint(nil, limit), false, []string{"Content-Type", type1}, 400},
		{"lines", "/write", big, false, nil, 413},
		{"lines, chunked", "/write", big, true, nil, 413},
		{"lines of version 2", "/api/v2/write", big, false, nil, 413},
		{"gzip", "/write", gzipped(t, random), false, []string{"Content-Encoding", "gzip"}, 413},
		{"gzip decoded", "/api/v2/write", gzipped(t, big), false, []string{"Content-Encoding", "gzip"}, 413},
		{"at the limit", "/write", big[:limit], true, nil, 204},
		{"gzip at the limit", "/write", gzipped(t, big[:limit]), true, []string{"Content-Encoding", "gzip"}, 204},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(c.target, c.body, c.headers...)
			if c.unknown {
				r.ContentLength = -1
			}
			a := send(t, d.mux, r)
			if a.code != c.want {
				t.Errorf("got %d %q, want %d", a.code, a.body, c.want)
			}
			if c.target == "/api/v2/write" && a.header.Get("X-Platform-Error-Code") != "request too large" {
				t.Errorf("code %q", a.header.Get("X-Platform-Error-Code"))
			}
		})
	}
	if n := d.budget.Used(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

func TestOverloadIsAnswered503(t *testing.T) {
	clock := vfs.NewManualClock(testNow)
	budget := reqbody.NewBudget(reqbody.Options{Limit: 1, Clock: clock})
	d := openDoor(t, func(o *Options, _ *storage.Options) { o.Budget, o.Clock = budget, clock })
	if err := budget.NewCharge().Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for name, r := range writes(t) {
		done := make(chan answer)
		n := clock.Timers()
		go func() { done <- send(t, d.mux, r) }()
		clock.BlockUntil(n + 2) // its deadline and its next recheck
		clock.Advance(time.Second)
		if a := <-done; a.code != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %q", name, a.code, a.body)
		}
	}
}

// TestHostileBodies sends malicious bodies. Time and memory must be proportional to
// the size of the body, and only its valid samples are stored. Bodies have about a
// million parts, enough for a quadratic step to take an hour.
func TestHostileBodies(t *testing.T) {
	if testing.Short() {
		t.Skip("bodies of many megabytes")
	}
	repeat := func(b []byte, n int) []byte { return bytes.Repeat(b, n) }
	manyLabels := func() []byte {
		var series []byte
		for i := range 100_000 {
			l := fmt.Appendf(nil, "\x0a\x06a%05d\x12\x01x", i)
			series = append(append(series, tag1Label, byte(len(l))), l...)
		}
		series = append(series, 0x12, 0) // a sample
		return append(appendVarint([]byte{tag1Series}, uint64(len(series))), series...)
	}
	emptySymbols := repeat([]byte{tag2Symbol, 0}, 2<<20) // twice the limit
	manyRefs := append([]byte{tag2Symbol, 0, tag2Series}, appendVarint(nil, 1+4+2<<20+10)...)
	manyRefs = append(append(manyRefs, tag2LabelRefs), appendVarint(nil, 2<<20)...)
	manyRefs = append(manyRefs, make([]byte, 2<<20)...)
	manyRefs = append(manyRefs, repeat([]byte{tag2Sample, 0}, 5)...)
	groups := repeat([]byte{15<<3 | wireGroup}, 4<<20)
	for _, c := range []struct {
		name, target, contentType string
		body                      []byte
		want                      int
		says                      string
	}{
		{"empty series", "/api/v1/write", type1, repeat([]byte{tag1Series, 0}, 1<<20), 204, ""},
		{"series without labels", "/api/v1/write", type1, repeat([]byte{tag1Series, 2, tag1Sample, 0}, 1<<20), 400, "no_name"},
		{"empty labels", "/api/v1/write", type1, append(appendVarint([]byte{tag1Series}, 2+2<<20), append([]byte{tag1Sample, 0}, repeat([]byte{tag1Label, 0}, 1<<20)...)...), 400, "limit is 128"},
		{"100,000 labels", "/api/v1/write", type1, manyLabels(), 400, "series has 100000 labels, limit is 128"},
		{"empty samples", "/api/v1/write", type1, append(appendVarint([]byte{tag1Series}, 2<<20), repeat([]byte{tag1Sample, 0}, 1<<20)...), 400, "no_name"},
		{"empty metadata", "/api/v1/write", type1, repeat([]byte{tag1Metadata, 0}, 1<<20), 204, ""},
		{"groups in groups", "/api/v1/write", type1, groups, 400, "malformed"},
		{"empty series of version 2", "/api/v1/write", type2, repeat([]byte{tag2Series, 0}, 1<<20), 400, "TimeSeries must contain"},
		{"symbols", "/api/v1/write", type2, emptySymbols, 400, "too many symbols"},
		{"label refs", "/api/v1/write", type2, manyRefs, 400, "limit is 128"},
		{"newlines", "/write", "", repeat([]byte("\n"), 4<<20), 204, ""},
		{"words", "/write", "", repeat([]byte("a\n"), 1<<20), 400, "more bad lines"},
		{"open strings", "/write", "", repeat([]byte("m a=\"\n"), 1<<20), 204, ""},
		{"escaped quotes", "/write", "", repeat([]byte("m a=\"\\\"\n"), 1<<20), 400, "more bad lines"},
		{"fields", "/write", "", append([]byte("m "), repeat([]byte("a=1,"), 1<<20)...), 400, "too many fields"},
		{"tags", "/write", "", append(append([]byte("m"), repeat([]byte(",a=1"), 10_000)...), " v=1"...), 400, "limit is 128"},
		{"backslashes", "/write", "", repeat([]byte(`\ `), 2<<20), 400, "missing fields"},
		{"one name", "/api/v2/write", "", repeat([]byte("m"), 4<<20), 400, "missing fields"},
		{"brackets", "/api/v1/import", "", repeat([]byte("["), 4<<20), 400, "bad_value"},
		{"brackets of a member", "/api/v1/import", "", append([]byte(`{"metric":`), append(repeat([]byte("[0"), 1<<20), repeat([]byte("]"), 1<<20)...)...), 400, "bad_value"},
		{"quotes", "/api/v1/import", "", append([]byte("{"), repeat([]byte(`"\\"`), 1<<20)...), 400, "bad_value"},
		{"words of text", "/api/v1/import/prometheus", "", repeat([]byte("a\n"), 1<<20), 400, "1048576 refused"},
		{"open labels", "/api/v1/import/prometheus", "", repeat([]byte("a{#"), 1<<20), 400, "not closed"},
		{"braces of text", "/api/v1/import/prometheus", "", append(append([]byte("a{"), repeat([]byte(`b="",`), 1<<19)...), "} 1"...), 400, "limit is 128"},
		{"comments", "/api/v1/import/prometheus", "", repeat([]byte("# TYPE a b\n"), 1<<19), 204, ""},
		{"commas", "/api/v1/import/csv?format=1:label:a,900:metric:b", "", repeat([]byte(","), 4<<20), 204, ""},
		{"quotes of CSV", "/api/v1/import/csv?format=1:label:a,900:metric:b", "", repeat([]byte(`"`), 4<<20), 400, "bad_value"},
		{"zeros", "/api/v2/write", "", make([]byte, 4<<20), 400, "missing fields"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t)
			body := c.body
			var headers []string
			if c.contentType != "" {
				body = doortest.Snap(body)
				headers = []string{"Content-Type", c.contentType}
			}
			begin := time.Now()
			a := d.do("POST", c.target, body, headers...)
			if a.code != c.want || !strings.Contains(a.body, c.says) {
				t.Errorf("got %d %.500q, want %d with %q", a.code, a.body, c.want, c.says)
			}
			if len(a.body) > 8<<10 {
				t.Errorf("an answer of %d bytes", len(a.body))
			}
			if n := len(d.stored()); n != 0 {
				t.Errorf("%d series stored", n)
			}
			if spent := time.Since(begin); spent > time.Minute {
				t.Errorf("took %v", spent)
			}
			if n := d.budget.Used(); n != 0 {
				t.Errorf("%d bytes are still charged", n)
			}
		})
	}
}
