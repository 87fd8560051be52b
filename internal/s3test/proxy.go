package s3test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Kind names a request: PutObject, UploadPart and so on.
func Kind(r *http.Request) string {
	q := r.URL.Query()
	object := strings.Contains(strings.Trim(r.URL.Path, "/"), "/")
	switch r.Method {
	case http.MethodPut:
		switch {
		case q.Has("partNumber"):
			return "UploadPart"
		case r.Header.Get("X-Amz-Copy-Source") != "":
			return "CopyObject"
		}
		return "PutObject"
	case http.MethodPost:
		switch {
		case q.Has("delete"):
			return "DeleteObjects"
		case q.Has("uploads"):
			return "CreateMultipartUpload"
		}
		return "CompleteMultipartUpload"
	case http.MethodDelete:
		if q.Has("uploadId") {
			return "AbortMultipartUpload"
		}
		return "DeleteObject"
	case http.MethodHead:
		return "HeadObject"
	}
	switch {
	case q.Has("uploads"):
		return "ListMultipartUploads"
	case !object:
		return "ListObjectsV2"
	}
	return "GetObject"
}

// Fault handles a request instead of the service, or through it, and reports whether it
// has. It runs on many goroutines.
type Fault func(w http.ResponseWriter, r *http.Request, service http.Handler) bool

// Proxy stands before a service. It is safe for concurrent use.
type Proxy struct {
	URL     string
	service http.Handler
	mu      struct {
		sync.Mutex
		fault Fault
		seen  map[string]int // requests by kind
	}
}

// NewProxy returns a proxy before a handler such as a Fake, until the test ends.
func NewProxy(t *testing.T, service http.Handler) *Proxy {
	t.Helper()
	p := &Proxy{service: service}
	p.mu.seen = map[string]int{}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		server.CloseClientConnections() // of requests that a fault holds
		server.Close()
	})
	p.URL = server.URL
	return p
}

// Through returns a handler that sends requests on to the service at a URL. It keeps the
// host, which is signed.
func Through(t *testing.T, to string) http.Handler {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host },
		Transport:    earlyAnswers{},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// SetFault makes f see each request first; nil = none.
func (p *Proxy) SetFault(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.fault = f
}

// Seen returns the number of requests of a kind so far.
func (p *Proxy) Seen(kind string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.seen[kind]
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.mu.seen[Kind(r)]++
	fault := p.mu.fault
	p.mu.Unlock()
	if fault == nil || !fault(w, r, p.service) {
		p.service.ServeHTTP(w, r)
	}
}

// Refuse responds with an error of S3.
func Refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>an injected fault</Message></Error>", code)
}

// Cut sends a response of the service without its second half and closes the connection.
func Cut(w http.ResponseWriter, r *http.Request, service http.Handler) {
	rec := httptest.NewRecorder()
	service.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	body := rec.Body.Bytes()
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body[:len(body)/2]) // the client may be gone
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

// Lose lets the service handle a request and closes the connection without a response.
func Lose(r *http.Request, service http.Handler) {
	service.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}
