package prom

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"tsdb/api/prom/promtest"
)

func TestLongAnswersAreCompressedForThoseWhoAsk(t *testing.T) {
	s := newServer(t, Options{})
	long := "/query_range?query=edge&step=15&start=" + fmt.Sprint(promtest.Start) + "&end=" + fmt.Sprint(promtest.End)
	f := func(path, accept, want string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, s.URL+"/api/v1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", accept) // set by hand, the client does not decompress
		got := s.do(t, r)
		if coding := got.header.Get("Content-Encoding"); coding != want {
			t.Errorf("%s with %q: encoded as %q, want %q", path, accept, coding, want)
		}
		if vary := strings.Join(got.header.Values("Vary"), ","); !strings.Contains(vary, "Accept-Encoding") {
			t.Errorf("Vary: %s", vary)
		}
		if plain, want := decompress(t, got), s.get(t, path).body; plain != want {
			t.Errorf("%s with %q reads %s", path, accept, clip(plain))
		}
	}
	f(long, "gzip", "gzip")
	f(long, "deflate, gzip;q=0.5, br", "gzip")
	f(long, "GZIP", "gzip")
	f(long, "*", "gzip")
	f(long, "zstd", "zstd")
	f(long, "gzip, deflate, br, zstd", "zstd")
	f(long, "zstd;q=0.5, gzip;q=0.8", "gzip")
	f(long, "zstd;q=x, gzip;q=0.1", "gzip")
	f(long, "zstd;q=0", "")
	f(long, "", "")
	f(long, "identity", "")
	f(long, "gzip;q=0", "")
	f(long, "gzip; q=0.0, br", "")
	f("/query?query=1&time=1", "gzip, zstd", "")
	f("/query?query=", "gzip, zstd", "")
	f("/query_exemplars?query=1", "gzip, zstd", "")
}

// decompress reads an answer.
func decompress(t *testing.T, r reply) string {
	t.Helper()
	var from io.Reader
	var err error
	switch r.header.Get("Content-Encoding") {
	case "gzip":
		from, err = gzip.NewReader(strings.NewReader(r.body))
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(strings.NewReader(r.body)); err == nil {
			defer d.Close()
			from = d
		}
	default:
		return r.body
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCompressionPassesPanicsOn: the response to a handler that panics is left
// to the outer handlers.
func TestCompressionPassesPanicsOn(t *testing.T) {
	h := Compress(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("BUG") }))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	func() {
		defer func() {
			if recover() != "BUG" {
				t.Error("the panic is lost")
			}
		}()
		h.ServeHTTP(w, r)
	}()
	w.WriteHeader(http.StatusInternalServerError)
	if w.Code != http.StatusInternalServerError {
		t.Errorf("code %d", w.Code)
	}
}

func BenchmarkCompress(b *testing.B) {
	var body []byte
	v := 12345.678
	for i := range 4000 {
		v += float64(i*i%17) / 8
		body = fmt.Appendf(body, `[%d,"%g"],`, 1767229200+15*i, v)
	}
	h := Compress(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	for _, coding := range []string{"gzip", "zstd"} {
		b.Run("coding="+coding, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", coding)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			sent := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				sent = w.Body.Len()
			}
			b.ReportMetric(float64(sent)/float64(len(body)), "sent/byte")
		})
	}
}
