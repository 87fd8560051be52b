package listener

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"tsdb/api/reqbody"
)

// minBufferBytes is the size of an idle connection's buffer. It grows while it is
// filled at once, and shrinks again.
const minBufferBytes = 4 << 10

// ServeTCP accepts connections on ln until Shutdown and then returns nil. It closes ln.
func (l *Listener) ServeTCP(ln net.Listener) error {
	if !l.open(ln) {
		return ln.Close()
	}
	defer l.closePort(ln)
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			l.accept(c)
		case !l.retryPort("tcp", err):
			if l.draining.Load() {
				return nil
			}
			return err
		}
	}
}

// accept serves a connection unless there are too many.
func (l *Listener) accept(c net.Conn) {
	l.mu.Lock()
	full := len(l.mu.conns) >= l.opts.MaxConnections
	ok := !l.mu.closed && !full
	if ok {
		l.mu.conns[c] = struct{}{}
		l.serving.Add(1)
	}
	l.mu.Unlock()
	if ok {
		l.metrics.connections.Inc()
		go l.serveConn(c)
		return
	}
	_ = c.Close() // nothing has been read
	if full {
		l.metrics.connectionsRefused.Inc()
		l.log.warn("connections", "connection refused: there are too many", 1, "limit", l.opts.MaxConnections, "client", c.RemoteAddr())
	}
}

func (l *Listener) serveConn(c net.Conn) {
	x := &conn{l: l, c: c, buf: make([]byte, 0, minBufferBytes), charge: l.opts.Shared.Budget.NewCharge()}
	defer func() {
		x.charge.Release()
		_ = c.Close()
		l.mu.Lock()
		delete(l.mu.conns, c)
		l.mu.Unlock()
		l.metrics.connections.Dec()
		l.serving.Done()
	}()
	x.serve()
}

// conn is a TCP connection. It belongs to one goroutine.
type conn struct {
	l        *Listener
	c        net.Conn
	buf      []byte // read and not stored
	skipping bool   // the rest of a line that is too long
	charge   *reqbody.Charge
}

// serve reads and stores lines until the connection ends.
func (x *conn) serve() {
	for {
		x.setDeadline()
		n, err := x.c.Read(x.buf[len(x.buf):cap(x.buf)])
		x.l.metrics.bytes[tcp].Add(float64(n))
		x.buf = x.buf[:len(x.buf)+n]
		full := len(x.buf) == cap(x.buf)
		x.storeWhole()
		if err != nil {
			x.end(err)
			return
		}
		if !x.resize(full) {
			return
		}
	}
}

// setDeadline sets the time until which the client has to send something.
func (x *conn) setDeadline() {
	// Shutdown sets draining before the deadlines of connections.
	if !x.l.draining.Load() {
		_ = x.c.SetReadDeadline(time.Now().Add(idleTimeout)) // an error shows in Read
	}
	if x.l.draining.Load() {
		_ = x.c.SetReadDeadline(time.Now().Add(drainTime))
	}
}

// storeWhole stores the whole lines of the buffer, and keeps the rest.
func (x *conn) storeWhole() {
	if x.skipping {
		n := bytes.IndexByte(x.buf, '\n')
		if n < 0 {
			x.buf = x.buf[:0]
			return
		}
		x.skipping = false
		x.keepFrom(n + 1)
	}
	n := x.l.opts.Whole(x.buf)
	if n == 0 && len(x.buf) >= x.l.opts.MaxLineBytes {
		// The newlines were taken for parts of a line; the door finds the bad one.
		if n = lastLine(x.buf); n == 0 {
			x.l.drop(tcp, dropTooLong, 1, fmt.Sprintf("a line has more than %d bytes: %s", x.l.opts.MaxLineBytes, excerpt(x.buf)))
			x.skipping = true
			x.buf = x.buf[:0]
			return
		}
	}
	if n > 0 {
		x.l.store(tcp, x.buf[:n], x)
		x.keepFrom(n)
	}
}

func (x *conn) keepFrom(n int) { x.buf = x.buf[:copy(x.buf, x.buf[n:])] }

// resize doubles the buffer if the last read has filled it, and halves it if it has
// become far too large. It returns false if there is no room before the lines are no
// longer to be stored.
func (x *conn) resize(full bool) bool {
	size := cap(x.buf)
	switch {
	case full && size < x.l.opts.MaxLineBytes:
		size = min(2*size, x.l.opts.MaxLineBytes)
		for x.charge.Take(x.l.ctx, int64(size-cap(x.buf))) != nil {
			switch {
			case len(x.buf) < cap(x.buf):
				return true
			case x.l.ctx.Err() != nil:
				x.l.drop(tcp, dropShutdown, 1, "a line is not complete: "+excerpt(x.buf))
				return false
			}
		}
	case !full && size > minBufferBytes && len(x.buf) < size/8:
		size /= 2
		x.charge.Give(int64(cap(x.buf) - size))
	default:
		return true
	}
	x.buf = append(make([]byte, 0, size), x.buf...)
	return true
}

// end accounts for an incomplete last line. It may be part of a longer one, so that
// its value would be another.
func (x *conn) end(err error) {
	if len(bytes.TrimSpace(x.buf)) == 0 {
		return
	}
	reason := "the connection ended"
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && x.l.draining.Load():
		reason = "the server stopped"
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = "nothing came for " + idleTimeout.String()
	case !errors.Is(err, io.EOF):
		reason = err.Error()
	}
	x.l.drop(tcp, dropUnterminated, 1, fmt.Sprintf("the last line has no newline at its end (%s), so it may be incomplete: %s", reason, excerpt(x.buf)))
}

// Write sends a reply to the client.
func (x *conn) Write(b []byte) (int, error) {
	_ = x.c.SetWriteDeadline(time.Now().Add(maxReplyTime)) // an error shows in Write
	n, err := x.c.Write(b)
	if err != nil {
		_ = x.c.Close() // so that the next Read ends the connection
	}
	return n, err
}
