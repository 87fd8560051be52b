package prom

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/prompb"
	"google.golang.org/protobuf/encoding/protowire"

	"tsdb/api/limiter"
	"tsdb/api/prom/promtest"
	"tsdb/api/reqbody"
)

func lengthDelimited(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// TestRemoteReadCountsBeforeItDecodes: requests that are small on the wire and
// would be large in memory are refused by their counts.
func TestRemoteReadCountsBeforeItDecodes(t *testing.T) {
	budget := reqbody.NewBudget(reqbody.Options{Limit: 256 << 20})
	s := newServer(t, Options{Budget: budget})
	empty := func(number protowire.Number, n int) []byte { return bytes.Repeat(lengthDelimited(number, nil), n) }
	for _, c := range []struct {
		name    string
		message []byte
		says    string
	}{
		{"queries", empty(fieldQueries, 4<<20), "4194304 queries, the limit is 1000"},
		{"matchers", lengthDelimited(fieldQueries, empty(fieldMatchers, 4<<20)), "4194305 fields in a request, the limit is 100000"},
		{"hints", lengthDelimited(fieldQueries, empty(fieldHints, 4<<20)), "4194305 fields in a request"},
		{"groupings", lengthDelimited(fieldQueries, lengthDelimited(fieldHints, empty(5, 4<<20))), "4194306 fields in a request"},
		{"answer types", bytes.Repeat([]byte{fieldAcceptedTypes << 3, 0}, 4<<20), "4194304 fields in a request"},
		{"packed answer types", lengthDelimited(fieldAcceptedTypes, make([]byte, 8<<20)), "8388609 fields in a request"},
		{"unknown fields", bytes.Repeat([]byte{9 << 3, 0}, 4<<20), "4194304 fields in a request"},
		{"pattern", marshalRead(t, &prompb.ReadRequest{Queries: []*prompb.Query{
			readOf(wireMatcher(prompb.LabelMatcher_RE, "a", strings.Repeat("(a|b)", 1<<20))),
		}}), "regular expressions of 5242880 bytes, the limit is 1048576"},
		{"not protobuf", make([]byte, 8<<20), "read request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := s2.EncodeSnappy(nil, c.message)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := remoteReadRaw(t, s.URL+"/api/v1/read", body)
			runtime.ReadMemStats(&after)
			if got.status != http.StatusBadRequest || !strings.Contains(got.body, c.says) {
				t.Errorf("%d %q, want 400 with %q", got.status, clip(got.body), c.says)
			}
			// The message itself, compressed and decoded, and for the pattern
			// the one string.
			if n := after.TotalAlloc - before.TotalAlloc; n > uint64(len(body)+3*len(c.message)+4<<20) {
				t.Errorf("%d bytes allocated for a body of %d that decodes to %d", n, len(body), len(c.message))
			}
			if n := budget.Used(); n != 0 {
				t.Errorf("%d bytes are still charged", n)
			}
		})
	}
}

func marshalRead(t testing.TB, r *prompb.ReadRequest) []byte {
	t.Helper()
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStalledRemoteReadsHoldNoSlot: requests whose bodies stall hold no
// slot of the limiter.
func TestStalledRemoteReadsHoldNoSlot(t *testing.T) {
	s := newServer(t, Options{Reads: limiter.New(1)})
	addr := s.Listener.Addr().String()
	for range 3 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "POST /api/v1/read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		// The handler asks for the body: it has begun to read it.
		line := make([]byte, len("HTTP/1.1 100 Continue\r\n"))
		if _, err := io.ReadFull(conn, line); err != nil || !strings.Contains(string(line), "100") {
			t.Fatalf("%q %v", line, err)
		}
		if _, err := fmt.Fprint(conn, "half"); err != nil {
			t.Fatal(err)
		}
	}
	got := remoteRead(t, s.URL+"/api/v1/read", &prompb.ReadRequest{Queries: []*prompb.Query{
		{EndTimestampMs: promtest.End * 1000, Matchers: []*prompb.LabelMatcher{wireMatcher(prompb.LabelMatcher_EQ, "__name__", "edge")}},
	}})
	if got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestFormsAreBounded: forms are counted and charged as well; the error of a form
// that is too large says so.
func TestFormsAreBounded(t *testing.T) {
	budget := reqbody.NewBudget(reqbody.Options{Limit: 256 << 20})
	s := newServer(t, Options{Budget: budget})
	post := func(body string) reply {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, s.URL+"/api/v1/query", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return s.do(t, r)
	}
	post("query="+strings.Repeat("x", maxFormBytes)).want(t, 413, "bad_data", "it has 10485766 bytes, limit is 10485760")
	var keys strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&keys, "%x&", i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	post(keys.String()).want(t, 400, "bad_data", "error parsing form values")
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 100<<20 {
		t.Errorf("%d bytes allocated for %d", n, keys.Len())
	}
	if n := budget.Used(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}
