package door

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tsdb/api/reqbody"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// deadlines is a response writer over a connection that has read deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (d deadlines) SetReadDeadline(t time.Time) error { return d.conn.SetReadDeadline(t) }

// body is a body that its client writes to while it is read.
type body struct {
	client  net.Conn
	pieces  *Pieces
	results chan error // of Next, nil for a piece
	lines   strings.Builder
}

// openBody reads a body on a goroutine until it ends.
func openBody(t *testing.T, s *Shared) *body {
	client, conn := net.Pipe()
	r := httptest.NewRequest("POST", "/", conn)
	r.ContentLength = -1
	p, done := (*Pieces)(nil), make(chan error)
	b := &body{client: client, results: make(chan error, 100)}
	go func() {
		var err error
		p, err = s.OpenPieces(deadlines{httptest.NewRecorder(), conn}, r)
		done <- err
	}()
	if _, err := client.Write([]byte("line\n")); err != nil { // the first read tells a compressed body
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.pieces = p
	go func() {
		defer close(b.results)
		defer p.Close()
		for {
			lines, err := p.Next(context.Background())
			b.lines.Write(lines)
			b.results <- err
			if err != nil {
				return
			}
		}
	}()
	return b
}

func piecesShared(limit int64) *Shared {
	return NewShared(Options{
		Backend: &backend{store: &store{known: map[model.Hash]model.Ref{}}}, Clock: vfs.SystemClock, Seed: 1,
		Budget: reqbody.NewBudget(reqbody.Options{Limit: limit, MinRate: 256, Clock: vfs.SystemClock}),
	})
}

// A body that arrives slowly holds little memory, and is ended below the minimum rate.
func TestSlowPiecesHoldLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := piecesShared(reqbody.DefaultLimit)
		b := openBody(t, s)
		for range 60 { // at the minimum rate
			time.Sleep(time.Second)
			if _, err := b.client.Write([]byte(strings.Repeat("x", 255) + "\n")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if used := s.Budget.Used(); used > 32<<10 {
			t.Errorf("%d bytes are charged for a body of 15 KiB", used)
		}
		time.Sleep(time.Minute)
		if err := <-b.results; !errors.Is(err, reqbody.ErrTooSlow) || s.Status(err) != http.StatusServiceUnavailable {
			t.Errorf("a body that stalls: %v", err)
		}
		synctest.Wait()
		if used := s.Budget.Used(); used != 0 {
			t.Errorf("%d bytes stay charged", used)
		}
		b.client.Close()
	})
}

// When memory is short a body that has fallen behind yields to another.
func TestSlowPiecesYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := piecesShared(600 << 10)
		slow := openBody(t, s)
		go slow.client.Write([]byte(strings.Repeat("line\n", 30<<10))) // it grows to 256 KiB
		synctest.Wait()
		time.Sleep(10 * time.Second)
		fast := openBody(t, s)
		go func() {
			fast.client.Write([]byte(strings.Repeat("line\n", 50<<10)))
			fast.client.Close()
		}()
		if err := <-slow.results; !errors.Is(err, reqbody.ErrYielded) {
			t.Errorf("the slow body: %v", err)
		}
		for err := range fast.results {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, reqbody.ErrOverload) {
				t.Errorf("the fast body: %v", err)
			}
		}
		slow.client.Close()
		synctest.Wait()
		if used := s.Budget.Used(); used != 0 {
			t.Errorf("%d bytes stay charged", used)
		}
	})
}

// While a piece is processed the client is not late, however long it takes.
func TestPiecesArePatientWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := piecesShared(reqbody.DefaultLimit)
		client, conn := net.Pipe()
		r := httptest.NewRequest("POST", "/", conn)
		r.ContentLength = -1
		total := 5 << 20
		go func() {
			client.Write([]byte(strings.Repeat("line\n", total/5)))
			client.Close()
		}()
		p, err := s.OpenPieces(deadlines{httptest.NewRecorder(), conn}, r)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		n := 0
		for {
			lines, err := p.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if used := s.Budget.Used(); used < int64(len(lines))*(1+decodedPieceCost) {
				t.Errorf("%d bytes are charged for a piece of %d", used, len(lines))
			}
			n += len(lines)
			time.Sleep(time.Hour)
		}
		if n != total/5*5 {
			t.Errorf("%d bytes of %d", n, total)
		}
	})
}
