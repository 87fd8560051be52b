package prom

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// minCompressBytes is the minimum length of the first write of a compressed
// response: shorter responses fit one packet.
const minCompressBytes = 1 << 10

// compressor compresses a response: a *gzip.Writer or a *zstd.Encoder.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// coding is a supported content coding.
type coding struct {
	name    string
	writers sync.Pool // of compressor: a new one of gzip zeroes 0.8 MB, one of zstd more; see BenchmarkCompress
}

// codings lists the supported codings, in the order of preference at equal
// weights: zstd takes no more time than gzip and three quarters of its bytes.
var codings = []*coding{
	{name: "zstd", writers: sync.Pool{New: func() any {
		// It runs in the caller's goroutine, and its window is small enough for
		// the memory of every client.
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return w
	}}},
	{name: "gzip", writers: sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return w
	}}},
}

// Compress returns a handler that compresses the responses of next with zstd or
// gzip if the client accepts it and the first write is long enough.
func Compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		accepted := negotiate(r.Header.Get("Accept-Encoding"))
		if accepted == nil {
			next.ServeHTTP(w, r)
			return
		}
		c := &compressed{ResponseWriter: w, coding: accepted}
		defer c.close()
		next.ServeHTTP(c, r)
	})
}

// negotiate returns the preferred coding of an Accept-Encoding header, nil for
// none. The wildcard * selects gzip, which every client supports.
func negotiate(header string) *coding {
	var best *coding
	bestWeight := 0.0
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if name = strings.TrimSpace(name); name == "*" {
			name = "gzip"
		}
		i := slices.IndexFunc(codings, func(c *coding) bool { return strings.EqualFold(c.name, name) })
		if i < 0 {
			continue
		}
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		if weight > bestWeight || weight == bestWeight && best != nil && i < slices.Index(codings, best) {
			best, bestWeight = codings[i], weight
		}
	}
	return best
}

// compressed decides at the first write whether to compress.
type compressed struct {
	http.ResponseWriter
	coding  *coding
	to      compressor // nil = plain
	decided bool
	code    int // to be sent with the first write; 0 = not set
}

// WriteHeader defers the status code until the content coding is decided.
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
	if c.to != nil {
		return c.to.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

func (c *compressed) decide(zip bool) {
	c.decided = true
	if zip {
		c.Header().Del("Content-Length")
		c.Header().Set("Content-Encoding", c.coding.name)
		c.to = c.coding.writers.Get().(compressor)
		c.to.Reset(c.ResponseWriter)
	}
	if c.code != 0 {
		c.ResponseWriter.WriteHeader(c.code)
	}
}

// close ends the response.
func (c *compressed) close() {
	if !c.decided {
		c.decide(false)
	}
	if c.to != nil {
		// The connection's error shows at the next read of the server.
		_ = c.to.Close()
		c.to.Reset(nil) // drop the reference to the connection
		c.coding.writers.Put(c.to)
		c.to = nil
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (c *compressed) Unwrap() http.ResponseWriter { return c.ResponseWriter }
