package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tsdb/internal/await"
	"tsdb/internal/objstore"
	"tsdb/internal/objstore/objstoretest"
	"tsdb/internal/objstore/s3"
	"tsdb/internal/s3test"
)

const (
	key       = "0000000000000001/blocks/a.tsb"
	partBytes = 5 << 20 // the smallest that services accept
)

func options(url string) s3.Options {
	return s3.Options{
		Bucket: s3test.Bucket, Prefix: "team/db", Endpoint: url, AccessKeyID: s3test.AccessKeyID, SecretAccessKey: s3test.SecretAccessKey,
		MaxRetryDelay: time.Millisecond,
	}
}

func open(t *testing.T, o s3.Options) *s3.Store {
	t.Helper()
	s, err := s3.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func content(n int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}

// put writes an object and commits it; if that fails it aborts.
func put(t *testing.T, s objstore.Store, key string, data []byte) (objstore.Identity, error) {
	t.Helper()
	w, err := s.Create(t.Context(), key)
	must(t, err)
	id := objstore.Identity{}
	for len(data) > 0 && err == nil {
		n := min(len(data), 300_000)
		_, err = w.Write(data[:n])
		data = data[n:]
	}
	if err == nil {
		id, err = w.Commit(t.Context())
	}
	return id, errors.Join(err, w.Abort())
}

func wantObject(t *testing.T, s objstore.Store, key string, want []byte) {
	t.Helper()
	o, err := s.Open(t.Context(), key)
	must(t, err)
	got := make([]byte, o.Size())
	must(t, o.ReadAt(t.Context(), got, 0))
	must(t, o.Close())
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, not the %d that were written", key, len(got), len(want))
	}
}

// both runs a test on versitygw and on the service in memory, in which parts may be
// small.
func both(t *testing.T, run func(t *testing.T, p *s3test.Proxy, o s3.Options)) {
	t.Run("versitygw", func(t *testing.T) {
		p := s3test.NewProxy(t, s3test.Through(t, s3test.Gateway(t)))
		o := options(p.URL)
		o.PartBytes = partBytes
		run(t, p, o)
	})
	t.Run("memory", func(t *testing.T) {
		f := s3test.NewFake()
		f.PageKeys = 3
		p := s3test.NewProxy(t, f)
		o := options(p.URL)
		o.PartBytes = 2000
		run(t, p, o)
		if n := f.Uploads(); n != 0 {
			t.Errorf("%d uploads are left", n)
		}
	})
}

func TestStoresBehaveTheSame(t *testing.T) {
	both(t, func(t *testing.T, _ *s3test.Proxy, o s3.Options) {
		n := 0
		objstoretest.Test(t, func(t *testing.T) objstore.Store {
			n++
			o.Prefix = fmt.Sprintf("test/%d", n)
			return open(t, o)
		})
	})
}

// The conditions of PutObject and CompleteMultipartUpload are honoured.
func TestConditionsAreHonoured(t *testing.T) {
	both(t, func(t *testing.T, p *s3test.Proxy, o s3.Options) {
		s := open(t, o)
		for range 2 {
			must(t, s.CheckConditions(t.Context()))
		}
		small, big := content(o.PartBytes, 1), content(2*o.PartBytes+100, 2)
		for i, first := range [][]byte{small, big} {
			key := fmt.Sprintf("0000000000000001/blocks/%d.tsb", i)
			for range 2 {
				id, err := put(t, s, key, first)
				must(t, err)
				if id != objstore.IdentityOf(int64(len(first)), first) {
					t.Fatalf("identity %v", id)
				}
			}
			for _, other := range [][]byte{small[1:], big[1:]} {
				if _, err := put(t, s, key, other); !errors.Is(err, objstore.ErrConflict) {
					t.Fatalf("%d bytes over %d: %v", len(other), len(first), err)
				}
			}
			wantObject(t, s, key, first)
		}
		if p.Seen("CompleteMultipartUpload") != 4 {
			t.Errorf("%d objects were written in parts, want 4", p.Seen("CompleteMultipartUpload"))
		}
		n, err := s.AbortUploads(t.Context(), "0000000000000001/", time.Now().Add(time.Hour))
		if err != nil || n != 0 {
			t.Errorf("%d uploads are left, %v", n, err)
		}
	})
}

// Of two that replace the same object one succeeds.
func TestPutIfComparesAndSwaps(t *testing.T) {
	both(t, func(t *testing.T, _ *s3test.Proxy, o s3.Options) {
		s := open(t, o)
		const key = "heads/x.head"
		put := func(data string, expected objstore.Identity, ok bool) objstore.Identity {
			t.Helper()
			id, err := s.PutIf(t.Context(), key, []byte(data), expected)
			if ok != (err == nil) || !ok && !errors.Is(err, objstore.ErrConflict) {
				t.Fatalf("put %q over %v: %v", data, expected, err)
			}
			return id
		}
		put("zero", objstore.IdentityOf(1, []byte("x")), false)
		one := put("one", objstore.Identity{}, true)
		put("two", objstore.Identity{}, false)
		two := put("two", one, true)
		put("three", one, false)
		if id, err := s.Head(t.Context(), key); err != nil || id != two {
			t.Errorf("%v, %v: want %v", id, err, two)
		}
		// All at once, one wins.
		won := make(chan objstore.Identity, 8)
		done := make(chan error, 8)
		for i := range 8 {
			go func() {
				id, err := s.PutIf(t.Context(), key, fmt.Appendf(nil, "writer %d", i), two)
				if err == nil {
					won <- id
				}
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil && !errors.Is(err, objstore.ErrConflict) && !errors.Is(err, objstore.ErrBusy) {
				t.Error(err)
			}
		}
		if len(won) != 1 {
			t.Fatalf("%d writers replaced the object", len(won))
		}
		if id, err := s.Head(t.Context(), key); err != nil || id != <-won {
			t.Errorf("%v, %v is not of the one that won", id, err)
		}
	})
}

// Uploads that a crash leaves are found by age and prefix.
func TestLeftoverUploadsAreAborted(t *testing.T) {
	both(t, func(t *testing.T, p *s3test.Proxy, o s3.Options) {
		s := open(t, o)
		var uploaded atomic.Int32
		p.SetFault(func(w http.ResponseWriter, r *http.Request, service http.Handler) bool {
			service.ServeHTTP(w, r)
			if s3test.Kind(r) == "UploadPart" {
				uploaded.Add(1)
			}
			return true
		})
		for _, key := range []string{"0000000000000001/blocks/a.tsb", "0000000000000001/blocks/b.tsb", "0000000000000001/blocks/c.tsb",
			"0000000000000001/blocks/d.tsb", "0000000000000002/blocks/a.tsb"} {
			w, err := s.Create(t.Context(), key)
			must(t, err)
			_, err = w.Write(content(o.PartBytes+1, 1))
			must(t, err)
			if strings.HasPrefix(key, "0000000000000002") {
				defer func() { must(t, w.Abort()) }()
			}
		}
		await.That(t, "the parts are written", func() bool { return uploaded.Load() == 5 })
		for _, test := range []struct {
			before time.Time
			want   int
		}{{time.Now().Add(-time.Hour), 0}, {time.Now().Add(time.Hour), 4}, {time.Now().Add(time.Hour), 0}} {
			n, err := s.AbortUploads(t.Context(), "0000000000000001/", test.before)
			if err != nil || n != test.want {
				t.Errorf("%d uploads aborted, want %d: %v", n, test.want, err)
			}
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"no bucket", "no bucket"}, {"no credentials", "AWS_ACCESS_KEY_ID"}, {"no region", "AWS_REGION"}, {"endpoint", "not a URL"}, {"user", "has a user"}, {"prefix", "prefix"},
	} {
		o := options("http://localhost:1")
		switch test.name {
		case "no bucket":
			o.Bucket = ""
		case "no credentials":
			o.SecretAccessKey = ""
		case "no region":
			o.Endpoint = ""
		case "endpoint":
			o.Endpoint = "localhost:1"
		case "user":
			o.Endpoint = "http://me:pw@localhost:1"
		case "prefix":
			o.Prefix = "a//b"
		}
		if _, err := s3.New(o); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), s3test.SecretAccessKey) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for place, want := range map[string]string{
		"s3://b": "b ", "s3://b/": "b ", "s3://b/p/q/": "b p/q", "s3://": "!", "s3://u:p@b": "!", "s3://b/p?x=1": "!", "s3:b": "!",
	} {
		bucket, prefix, err := s3.ParseURL(place)
		got := bucket + " " + prefix
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s: %q, %v", place, got, err)
		}
	}
}
