package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tsdb/internal/objstore"
	"tsdb/internal/objstore/s3"
	"tsdb/internal/s3test"
)

// faulty returns a store on a service in memory behind a proxy. Parts have 2,000 bytes.
func faulty(t *testing.T) (*s3.Store, *s3test.Proxy, *s3test.Fake) {
	t.Helper()
	f := s3test.NewFake()
	p := s3test.NewProxy(t, f)
	o := options(p.URL)
	o.PartBytes = 2000
	return open(t, o), p, f
}

// nth returns a fault of the requests of a kind with the numbers from 1 to n.
func nth(kind string, n int32, f func(w http.ResponseWriter, r *http.Request, service http.Handler)) s3test.Fault {
	var seen atomic.Int32
	return func(w http.ResponseWriter, r *http.Request, service http.Handler) bool {
		if s3test.Kind(r) != kind || seen.Add(1) > n {
			return false
		}
		f(w, r, service)
		return true
	}
}

func refuse(status int, code string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { s3test.Refuse(w, status, code) }
}

func lose(_ http.ResponseWriter, r *http.Request, service http.Handler) { s3test.Lose(r, service) }

// stall sends no byte until the client gives up.
func stall(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is seen
	<-r.Context().Done()
}

// Every request is repeated after a failure that passes, and the object is whole.
func TestFailuresThatPassAreRepeated(t *testing.T) {
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){
		"500": refuse(500, "InternalError"), "503": refuse(503, "SlowDown"), "the answer is lost": lose, "the answer is cut": s3test.Cut,
	} {
		for _, kind := range []string{"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "GetObject", "ListObjectsV2", "DeleteObjects"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				s, p, f := faulty(t)
				p.SetFault(nth(kind, 1, fault))
				for i, n := range []int{100, 7000, 150_000} {
					key := string(rune('a'+i)) + ".tsb"
					data := content(n, 1)
					id, err := put(t, s, key, data)
					if err != nil || id != objstore.IdentityOf(int64(n), data) {
						t.Fatalf("%d bytes: %v, %v", n, id, err)
					}
					wantObject(t, s, key, data)
				}
				if _, err := s.PutIf(t.Context(), "h.head", []byte("one"), objstore.Identity{}); err != nil {
					t.Fatal(err)
				}
				keys, err := s.List(t.Context(), "")
				if err != nil || len(keys) != 4 {
					t.Fatalf("%q, %v", keys, err)
				}
				if errs := s.Delete(t.Context(), keys...); errs != nil {
					t.Fatal(errs)
				}
				// An upload whose answer was lost is found by its age.
				if n := f.Uploads(); n > 0 && kind != "CreateMultipartUpload" {
					t.Errorf("%d uploads are left", n)
				}
			})
		}
	}
}

// Failures that stay end the write with a clear error, and nothing is left.
func TestFailuresThatStayAreReported(t *testing.T) {
	for _, test := range []struct {
		kind  string
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		want  string
	}{
		{"UploadPart", refuse(503, "SlowDown"), " of s3://backups/team/db/" + key + ": the service responds with 503 SlowDown"},
		{"CompleteMultipartUpload", refuse(500, "InternalError"), "500 InternalError"},
		{"UploadPart", refuse(403, "AccessDenied"), "the credentials do not allow this request"},
		{"CreateMultipartUpload", refuse(403, "InvalidAccessKeyId"), "does not know the access key in AWS_ACCESS_KEY_ID"},
		{"CreateMultipartUpload", refuse(403, "SignatureDoesNotMatch"), "the secret key in AWS_SECRET_ACCESS_KEY"},
		{"CreateMultipartUpload", refuse(400, "ExpiredToken"), "AWS_SESSION_TOKEN"},
		{"CreateMultipartUpload", refuse(400, "AuthorizationHeaderMalformed"), "set AWS_REGION or --s3.region"},
		{"CompleteMultipartUpload", refuse(501, "NotImplemented"), "does not support this request"},
	} {
		s, p, f := faulty(t)
		p.SetFault(nth(test.kind, 1000, test.fault))
		_, err := put(t, s, key, content(3000, 1))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), s3test.SecretAccessKey) {
			t.Errorf("%s: %v\nwant %s", test.kind, err, test.want)
		}
		if n := f.Uploads(); n > 0 {
			t.Errorf("%s: %d uploads are left", test.kind, n)
		}
		if n := p.Seen(test.kind); n > 10 {
			t.Errorf("%s was tried %d times", test.kind, n)
		}
	}
}

func TestErrorsNameWhatIsWrong(t *testing.T) {
	f := s3test.NewFake()
	p := s3test.NewProxy(t, f)
	o := options(p.URL)
	o.Bucket = "other"
	if err := open(t, o).CheckConditions(t.Context()); err == nil || !strings.Contains(err.Error(), "bucket other does not exist at "+p.URL) {
		t.Errorf("no bucket: %v", err)
	}
	o = options("http://127.0.0.1:1")
	if _, err := open(t, o).List(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "cannot reach http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused") {
		t.Errorf("no service: %v", err)
	}
	f.IgnoreConditions = true
	if err := open(t, options(p.URL)).CheckConditions(t.Context()); !errors.Is(err, s3.ErrNoConditions) {
		t.Errorf("ignored conditions: %v", err)
	}
	o = options(s3test.Gateway(t))
	o.SecretAccessKey = "wrong-secret"
	if err := open(t, o).CheckConditions(t.Context()); err == nil || !strings.Contains(err.Error(), "AWS_SECRET_ACCESS_KEY") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong secret: %v", err)
	}
	o.AccessKeyID = "AKIAOTHER"
	if err := open(t, o).CheckConditions(t.Context()); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("wrong key: %v", err)
	}
}

// A service that stops to respond is given up, and tried again.
func TestStalledRequestsAreRepeated(t *testing.T) {
	p := s3test.NewProxy(t, s3test.NewFake())
	o := options(p.URL)
	o.PartBytes, o.Idle = 2000, 200*time.Millisecond
	s := open(t, o)
	data := content(70_000, 1)
	p.SetFault(nth("UploadPart", 1, stall))
	if _, err := put(t, s, key, data); err != nil {
		t.Fatal(err)
	}
	p.SetFault(nth("GetObject", 1, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Range", "bytes 4464-69999/70000")
		w.Header().Set("Content-Length", "65536")
		_, _ = w.Write(data[4464:5000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	wantObject(t, s, key, data)
	p.SetFault(nth("GetObject", 1000, stall))
	if _, err := s.Open(t.Context(), key); err == nil || !strings.Contains(err.Error(), "does not respond") {
		t.Errorf("a service that never responds: %v", err)
	}
}

// The end of a context ends requests that are under way.
func TestContextEndsRequests(t *testing.T) {
	s, p, f := faulty(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.SetFault(nth("UploadPart", 1000, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is seen
		cancel()
		<-r.Context().Done()
	}))
	w, err := s.Create(ctx, key)
	must(t, err)
	_, err = w.Write(content(50_000, 1))
	if err == nil {
		_, err = w.Commit(t.Context())
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	must(t, w.Abort())
	if n := f.Uploads(); n > 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// A stream reads on where a connection breaks; an object that is replaced is refused.
func TestStreamsReadOn(t *testing.T) {
	s, p, _ := faulty(t)
	data := content(500_000, 1)
	_, err := put(t, s, key, data)
	must(t, err)
	o, err := s.Open(t.Context(), key)
	must(t, err)
	stream := func() ([]byte, error) {
		r := o.(objstore.Streamer).NewReader(t.Context())
		defer r.Close()
		return io.ReadAll(r)
	}
	p.SetFault(nth("GetObject", 6, s3test.Cut))
	if got, err := stream(); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	p.SetFault(nth("GetObject", 1000, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Range", "bytes 0-499999/500000")
		w.WriteHeader(http.StatusPartialContent)
	}))
	if got, err := stream(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("bodies without bytes: %d bytes, %v", len(got), err)
	}
	p.SetFault(nil)
	if errs := s.Delete(t.Context(), key); errs != nil {
		t.Fatal(errs)
	}
	_, err = put(t, s, key, data[1:])
	must(t, err)
	if _, err := stream(); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("a replaced object: %v", err)
	}
}

// A part that is damaged on the way is refused by its checksum.
func TestDamagedPartsAreRefused(t *testing.T) {
	s, p, _ := faulty(t)
	p.SetFault(nth("UploadPart", 1000, func(w http.ResponseWriter, r *http.Request, service http.Handler) {
		body, _ := io.ReadAll(r.Body)
		body[0]++
		r.Body = io.NopCloser(bytes.NewReader(body))
		service.ServeHTTP(w, r)
	}))
	if _, err := put(t, s, key, content(3000, 1)); err == nil || !strings.Contains(err.Error(), "BadDigest") {
		t.Errorf("%v", err)
	}
}
