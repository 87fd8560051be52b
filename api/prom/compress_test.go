package prom

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"tsdb/api/prom/promtest"
)

func TestLongAnswersAreCompressedForThoseWhoAsk(t *testing.T) {
	s := newServer(t, Options{})
	long := "/query_range?query=edge&step=15&start=" + fmt.Sprint(promtest.Start) + "&end=" + fmt.Sprint(promtest.End)
	f := func(path, accept string, wantGzip bool) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, s.URL+"/api/v1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", accept) // set by hand, the client does not decompress
		got := s.do(t, r)
		if zipped := got.header.Get("Content-Encoding") == "gzip"; zipped != wantGzip {
			t.Errorf("%s with %q: compressed is %v", path, accept, zipped)
		}
		if vary := strings.Join(got.header.Values("Vary"), ","); !strings.Contains(vary, "Accept-Encoding") {
			t.Errorf("Vary: %s", vary)
		}
		plain := got.body
		if wantGzip {
			z, err := gzip.NewReader(strings.NewReader(got.body))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			plain = string(b)
		}
		if want := s.get(t, path).body; plain != want {
			t.Errorf("%s with %q reads %s", path, accept, clip(plain))
		}
	}
	f(long, "gzip", true)
	f(long, "deflate, gzip;q=0.5, br", true)
	f(long, "GZIP", true)
	f(long, "*", true)
	f(long, "", false)
	f(long, "identity", false)
	f(long, "gzip;q=0", false)
	f(long, "gzip; q=0.0, br", false)
	f("/query?query=1&time=1", "gzip", false)
	f("/query?query=", "gzip", false)
	f("/query_exemplars?query=1", "gzip", false)
}

// A handler that panics leaves its answer to those above.
func TestCompressionLeavesPanicsAlone(t *testing.T) {
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
	body := []byte(strings.Repeat(`[1767229200,"12345.678"],`, 400))
	h := Compress(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
