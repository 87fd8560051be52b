package prom

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// minCompressBytes is the shortest first write of an answer that is
// compressed: less fits one packet anyway.
const minCompressBytes = 1 << 10

// gzipWriters are kept because a new one zeroes 0.8 MB: see
// BenchmarkCompress.
var gzipWriters = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return w
}}

// Compress sends the answers of next with gzip to clients that accept it, if
// their first write is worth it.
func Compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if !acceptsGzip(r.Header.Get("Accept-Encoding")) {
			next.ServeHTTP(w, r)
			return
		}
		c := &compressed{ResponseWriter: w}
		defer c.close()
		next.ServeHTTP(c, r)
	})
}

// acceptsGzip reads an Accept-Encoding header.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		if coding = strings.TrimSpace(coding); !strings.EqualFold(coding, "gzip") && coding != "*" {
			continue
		}
		q, ok := strings.CutPrefix(strings.TrimSpace(params), "q=")
		if !ok {
			return true
		}
		weight, err := strconv.ParseFloat(q, 64)
		return err == nil && weight > 0
	}
	return false
}

// compressed decides at the first write whether to compress.
type compressed struct {
	http.ResponseWriter
	gz      *gzip.Writer // nil = plain
	decided bool
	code    int // to be sent with the first write; 0 = none was set
}

// WriteHeader keeps the code back until it is known how the body is sent.
func (c *compressed) WriteHeader(code int) {
	if c.decided || code < 200 {
		c.ResponseWriter.WriteHeader(code)
		return
	}
	c.code = code
}

func (c *compressed) Write(b []byte) (int, error) {
	if !c.decided {
		c.decide(len(b) >= minCompressBytes && c.Header().Get("Content-Encoding") == "")
	}
	if c.gz != nil {
		return c.gz.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

func (c *compressed) decide(zip bool) {
	c.decided = true
	if zip {
		c.Header().Del("Content-Length")
		c.Header().Set("Content-Encoding", "gzip")
		c.gz = gzipWriters.Get().(*gzip.Writer)
		c.gz.Reset(c.ResponseWriter)
	}
	if c.code != 0 {
		c.ResponseWriter.WriteHeader(c.code)
	}
}

// close ends the answer.
func (c *compressed) close() {
	if !c.decided {
		c.decide(false)
	}
	if c.gz != nil {
		// The connection's error shows at the next read of the server.
		_ = c.gz.Close()
		gzipWriters.Put(c.gz)
		c.gz = nil
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (c *compressed) Unwrap() http.ResponseWriter { return c.ResponseWriter }
