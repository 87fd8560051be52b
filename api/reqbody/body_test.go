package reqbody

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"tsdb/internal/vfs"
)

func TestBodiesOfEverySizeAreReadCompletely(t *testing.T) {
	b := NewBudget(Options{Limit: 10 << 20})
	content := make([]byte, 5*chunkBytes)
	_, _ = rand.Read(content) // never fails
	for _, size := range []int{0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 5*chunkBytes - 7} {
		for _, announced := range []bool{true, false} {
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(content[:size]))
			if !announced {
				r.ContentLength = -1
			}
			x, err := b.Read(httptest.NewRecorder(), r, Limit{Bytes: int64(len(content))})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(x); err != nil || !bytes.Equal(got, content[:size]) {
				t.Errorf("size %d: read %d bytes, %v", size, len(got), err)
			}
			var scratch []byte
			if got, err := x.Bytes(t.Context(), &scratch); err != nil || !bytes.Equal(got, content[:size]) || x.Len() != size {
				t.Errorf("size %d: %d bytes, %v", size, len(got), err)
			}
			if n := b.Used(); n < int64(size) || n > int64(size+2*chunkBytes) {
				t.Errorf("size %d: %d bytes charged", size, n)
			}
			x.Release()
			if n := b.Used(); n != 0 {
				t.Errorf("size %d: %d bytes are still charged", size, n)
			}
		}
	}
}

func TestBodiesOverTheLimitNameItsSetting(t *testing.T) {
	b := NewBudget(Options{Limit: 10 << 20})
	for _, c := range []struct {
		announced int64
		want      string
	}{
		{1001, "request body too large: it has 1001 bytes, limit of --limit.body is 1000"},
		{-1, "request body too large: it has more than 1000 bytes, the limit of --limit.body"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, 1001)))
		r.ContentLength = c.announced
		_, err := b.Read(httptest.NewRecorder(), r, Limit{Bytes: 1000, Setting: "limit.body"})
		if !errors.Is(err, ErrTooLarge) || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if n := b.Used(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

// pipes is a listener of in-memory connections, whose deadlines follow the virtual
// clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// result is the outcome of reading a body.
type result struct {
	name string
	n    int
	err  error
}

// serve runs a server that reads bodies under a budget, in a bubble of virtual
// time, and hands dial to test.
func serve(t *testing.T, o Options, test func(t *testing.T, b *Budget, dial func(name string, length int) net.Conn, results <-chan result)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Clock = vfs.SystemClock // virtual in the bubble
		b := NewBudget(o)
		results := make(chan result, 100)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x, err := b.Read(w, r, Limit{Bytes: 1 << 30})
			if err == nil {
				// The client stays connected long after the last byte.
				time.Sleep(2 * Grace)
				err = r.Context().Err()
			}
			n := 0
			if x != nil {
				n = x.Len()
			}
			x.Release()
			results <- result{r.URL.Path[1:], n, err}
		})}
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		done := make(chan error)
		go func() { done <- srv.Serve(l) }()
		var clients []net.Conn
		test(t, b, func(name string, length int) net.Conn {
			client, server := net.Pipe()
			clients = append(clients, client)
			l.conns <- server
			go func() { _, _ = io.Copy(io.Discard, client) }() // until it is closed
			fmt.Fprintf(client, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", name, length)
			return client
		}, results)
		for _, c := range clients {
			c.Close()
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
		if n := b.Used(); n != 0 {
			t.Errorf("%d bytes are still charged", n)
		}
	})
}

func TestStalledAndTricklingBodiesAreEnded(t *testing.T) {
	serve(t, Options{Limit: 10 << 20, MinRate: 100}, func(t *testing.T, b *Budget, dial func(string, int) net.Conn, results <-chan result) {
		begin := time.Now()
		c := dial("stalled", 1000)
		_, _ = c.Write(make([]byte, 500)) // 5 s of the rate, which the grace covers
		r := <-results
		if spent := time.Since(begin); !errors.Is(r.err, ErrTooSlow) || spent < Grace || spent > Grace+6*time.Second {
			t.Errorf("stalled: %v after %v", r.err, spent)
		}
		begin = time.Now()
		c = dial("trickling", 100_000)
		for {
			time.Sleep(time.Second)
			if _, err := c.Write(make([]byte, 50)); err != nil { // half the rate
				break
			}
		}
		r = <-results
		if spent := time.Since(begin); !errors.Is(r.err, ErrTooSlow) || spent < Grace || spent > 3*Grace {
			t.Errorf("trickling: %v after %v", r.err, spent)
		}
	})
}

func TestSlowButSteadyBodiesPass(t *testing.T) {
	serve(t, Options{Limit: 10 << 20, MinRate: 100}, func(t *testing.T, b *Budget, dial func(string, int) net.Conn, results <-chan result) {
		const size = 120_000 // 20 minutes at the rate
		begin := time.Now()
		c := dial("steady", size)
		for range size / 1000 {
			time.Sleep(8 * time.Second) // 125 bytes a second, in bursts
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if r := <-results; r.err != nil || r.n != size {
			t.Errorf("%d bytes after %v: %v", r.n, time.Since(begin), r.err)
		}
	})
}

// TestStalledBodiesYieldToOthers: when unfinished bodies exhaust the budget, stalled
// ones yield at once to a complete request and to a body that makes progress, and
// only as many as necessary.
func TestStalledBodiesYieldToOthers(t *testing.T) {
	const chunks = 10
	serve(t, Options{Limit: chunks * chunkBytes, MinRate: 100}, func(t *testing.T, b *Budget, dial func(string, int) net.Conn, results <-chan result) {
		for i := range chunks {
			c := dial(fmt.Sprint(i), 1000)
			_, _ = c.Write(make([]byte, 10))
			time.Sleep(10 * time.Millisecond) // so that there is an order
		}
		synctest.Wait()
		if n := b.Used(); n != chunks*chunkBytes {
			t.Fatalf("%d bytes are used", n)
		}
		time.Sleep(5 * time.Second)
		begin := time.Now()
		charge := b.NewCharge()
		if err := charge.Take(t.Context(), 2*chunkBytes); err != nil {
			t.Error(err)
		}
		if spent := time.Since(begin); spent > 0 {
			t.Errorf("a complete request waited %v", spent)
		}
		for _, want := range []string{"0", "1"} {
			if r := <-results; !errors.Is(r.err, ErrYielded) || r.name != "0" && r.name != "1" {
				t.Errorf("%v, want %s to yield", r, want)
			}
		}
		charge.Release()
		c := dial("honest", 4*chunkBytes)
		if _, err := c.Write(make([]byte, 4*chunkBytes)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // two chunks were given back, two more are needed
			if r := <-results; !errors.Is(r.err, ErrYielded) {
				t.Errorf("%v", r)
			}
		}
		synctest.Wait()
		if n := len(results); n > 0 {
			t.Errorf("%d more ended", n)
		}
		if r := <-results; r.name != "honest" && !errors.Is(r.err, ErrTooSlow) {
			t.Errorf("%v", r)
		}
		for range chunks - 4 {
			if r := <-results; r.name == "honest" && r.err != nil || r.name != "honest" && !errors.Is(r.err, ErrTooSlow) {
				t.Errorf("%v", r)
			}
		}
	})
}

// TestSlowestBodyIsRefused: the slowest body does not make others yield.
func TestSlowestBodyIsRefused(t *testing.T) {
	clock := vfs.NewManualClock(epoch)
	b := NewBudget(Options{Limit: chunkBytes, MinRate: 100, Clock: clock})
	other := b.NewCharge()
	if err := other.Take(t.Context(), chunkBytes); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := b.Read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte("x"))), Limit{Bytes: 10})
		done <- err
	}()
	clock.BlockUntil(2)
	clock.Advance(maxWait)
	if err := <-done; !errors.Is(err, ErrOverload) {
		t.Error(err)
	}
	other.Release()
	if n := b.Used(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{20 << 10, 100 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%dKiB", size>>10), func(b *testing.B) {
			budget := NewBudget(Options{Limit: 256 << 20, MinRate: 256})
			content := make([]byte, size)
			reader := bytes.NewReader(content)
			r := httptest.NewRequest(http.MethodPost, "/", reader)
			w := httptest.NewRecorder()
			var scratch []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(content)
				x, err := budget.Read(w, r, Limit{Bytes: 32 << 20})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := x.Bytes(b.Context(), &scratch); err != nil {
					b.Fatal(err)
				}
				x.Release()
			}
		})
	}
}
