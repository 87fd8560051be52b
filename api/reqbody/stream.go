package reqbody

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// A Stream reads a request's body while parts of it are processed, so that the body
// may be longer than memory. Between Resume and Pause the body is unfinished like one
// that Budget.Read reads: it must keep the minimum rate, and when memory is short it
// may have to yield. While a part is processed it is not late, because the client
// cannot send. It belongs to one goroutine.
type Stream struct {
	body    *Body
	src     io.Reader
	running bool
}

// Stream returns the stream of the body of r. The caller closes it.
func (b *Budget) Stream(w http.ResponseWriter, r *http.Request) *Stream {
	s := &Stream{body: &Body{charge: Charge{budget: b}, w: w}, src: r.Body}
	s.Resume()
	return s
}

// Resume begins to wait for the client.
func (s *Stream) Resume() {
	if s.running {
		return
	}
	s.running = true
	x := s.body
	b := x.charge.budget
	due := b.pace.begin(b.clock.Now())
	x.dueNano.Store(due.UnixNano())
	b.begin(x)
	x.armed = time.Time{}
	x.arm(due)
}

// Pause ends the wait for the client.
func (s *Stream) Pause() {
	if s.running {
		s.running = false
		s.body.charge.budget.end(s.body)
	}
}

// Charge returns the charge of the stream.
func (s *Stream) Charge() *Charge { return &s.body.charge }

// Take charges n bytes that the stream needs to be read on. The error is ErrOverload,
// ErrYielded or that of ctx.
func (s *Stream) Take(ctx context.Context, n int64) error {
	return s.body.charge.budget.take(ctx, &s.body.charge, s.body, n)
}

// Read implements io.Reader. The error is io.EOF, ErrTooSlow, ErrYielded, or else wraps
// ErrRead.
func (s *Stream) Read(p []byte) (int, error) {
	x := s.body
	b := x.charge.budget
	n, err := s.src.Read(p)
	x.size += n
	switch {
	case err == nil:
		x.arm(b.pace.after(x.due(), b.clock.Now(), n))
		return n, nil
	case err == io.EOF:
		return n, err
	case x.yielded.Load():
		return n, ErrYielded
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.endedSlow.Inc()
		return n, fmt.Errorf("%w: %d bytes came, then less than %d bytes a second, the least of --web.min-body-rate, for %v", ErrTooSlow, x.size, b.pace.minRate, Grace)
	}
	return n, fmt.Errorf("%w: %w", ErrRead, err)
}

// Close returns all that is charged. If the body has ended, the connection has no
// deadline any more.
func (s *Stream) Close() {
	s.Pause()
	if !s.body.yielded.Load() {
		s.body.setDeadline(time.Time{})
	}
	s.body.charge.Release()
}
