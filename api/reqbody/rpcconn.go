package reqbody

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// maxConnStreams bounds the streams that a connection is followed on: several
// times what a server allows, since those it refuses are open until it says so.
// More are not followed; the server refuses them.
const maxConnStreams = 1000

// messageHeaderBytes is the length of what precedes a gRPC message.
const messageHeaderBytes = 5

// never is the due time of a connection without unfinished messages.
var never = time.Unix(1<<33, 0)

// rpcConn is a gRPC connection whose unfinished messages are charged to a
// budget. gRPC says nothing of a message until it is complete, so the frames of
// both directions are followed. What is not HTTP/2 is left to gRPC, and is charged
// nothing.
type rpcConn struct {
	net.Conn
	window int64 // that a stream begins with

	mu struct {
		sync.Mutex
		in, out  frames
		streams  map[uint32]*rpcStream
		last     uint32 // the latest stream; each has a higher number than those before
		charged  int64
		deadline time.Time // when the client is too slow, by the budget's clock; never if it is not its turn
		armed    bool      // the connection has a deadline
		metered  bool      // it has had one: until then there is that of gRPC's handshake
		begun    bool      // the budget knows of body; from the first Read on, since gRPC may drop a connection before
		closed   bool
		update   [4]byte // payload of a WINDOW_UPDATE
	}
	body Body
}

// rpcStream is what the server may hold of a stream.
type rpcStream struct {
	ahead   int64 // bytes received and not yet answered by a WINDOW_UPDATE; below zero if more are allowed
	header  [messageHeaderBytes]byte
	message int64 // bytes of the unfinished message that came, header included
	length  int64 // of the unfinished message, header included, once it is known
	ended   bool  // by the client
	due     time.Time
}

// held returns about the memory of a stream: a message that gRPC is putting
// together, or those that the server has not asked for yet. gRPC updates a window
// once a quarter of it is consumed, so up to a quarter is ahead of an idle
// stream, of which it holds nothing.
func (s *rpcStream) held(window int64) int64 { return max(s.message, s.ahead-window/4, 0) }

// waits reports whether the rest of a message is the client's to send.
func (s *rpcStream) waits(window int64) bool { return s.message > 0 && !s.ended && s.ahead < window }

// NewRPCConn returns conn, on which a gRPC server speaks HTTP/2 without TLS, or
// above it, with the messages that are not complete charged to b. A message has
// to keep the minimum rate while the server lets the client send. window is the
// flow-control window that a stream begins with. If a connection has to go,
// cut closes what is below conn without waiting.
func (b *Budget) NewRPCConn(conn net.Conn, window int64, cut io.Closer) net.Conn {
	c := &rpcConn{Conn: conn, window: window}
	c.mu.in = frames{preface: clientPreface, limit: maxFrameBytes}
	c.mu.deadline = never
	c.mu.streams = make(map[uint32]*rpcStream)
	c.body.charge.budget = b
	c.body.cut = func() { _ = cut.Close() } // the client sees that it is gone
	c.body.dueNano.Store(never.UnixNano())
	return c
}

// Read charges what it returns before gRPC sees it.
func (c *rpcConn) Read(p []byte) (int, error) {
	b := c.body.charge.budget
	for {
		c.mu.Lock()
		if !c.mu.begun && !c.mu.closed {
			c.mu.begun = true
			b.begin(&c.body)
		}
		c.armLocked()
		c.mu.Unlock()
		n, err := c.Conn.Read(p)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			c.mu.Lock()
			deadline, metered := c.mu.deadline, c.mu.metered
			c.mu.Unlock()
			if !metered {
				return 0, err
			}
			if b.clock.Now().Before(deadline) {
				continue // it has moved since it was set
			}
			b.endedSlow.Inc()
			return 0, fmt.Errorf("%w: a gRPC message began, then less than %d bytes a second came, the least of --web.min-body-rate, for %v", ErrTooSlow, b.pace.minRate, Grace)
		}
		if n > 0 {
			if err := c.received(p[:n]); err != nil {
				return 0, err
			}
		}
		return n, err
	}
}

// received follows what the client sent, and charges it.
func (c *rpcConn) received(p []byte) error {
	b := c.body.charge.budget
	now := b.clock.Now()
	c.mu.Lock()
	c.mu.in.feed(p, c.beginLocked, func(f frame, _ int, part []byte) {
		if s := c.mu.streams[f.stream]; s != nil && f.kind == frameData {
			s.receive(part, b.pace, now)
		}
	})
	more := c.settleLocked()
	c.mu.Unlock()
	if more == 0 {
		return nil
	}
	if err := b.take(context.Background(), &c.body.charge, &c.body, more); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		c.body.charge.Give(more)
		return net.ErrClosed
	}
	c.mu.charged += more
	c.settleLocked() // Write may have ended streams meanwhile
	return nil
}

// beginLocked follows a frame of the client.
func (c *rpcConn) beginLocked(f frame) {
	s := c.mu.streams[f.stream]
	switch f.kind {
	case frameHeaders:
		if f.stream > c.mu.last {
			c.mu.last = f.stream
			if len(c.mu.streams) < maxConnStreams {
				s = new(rpcStream)
				c.mu.streams[f.stream] = s
			}
		}
	case frameData:
		if s != nil {
			s.ahead += int64(f.length)
		}
	case frameReset:
		delete(c.mu.streams, f.stream)
		return
	}
	if s != nil && f.flags&flagEndStream != 0 && f.kind <= frameHeaders {
		s.ended = true
	}
}

// receive follows the messages in a part of a stream's data.
func (s *rpcStream) receive(part []byte, p pace, now time.Time) {
	for len(part) > 0 {
		if s.message == 0 {
			s.due = p.begin(now)
		}
		n := len(part)
		if s.message < messageHeaderBytes {
			n = copy(s.header[s.message:], part)
		} else {
			n = int(min(int64(n), s.length-s.message))
		}
		s.message += int64(n)
		s.due = p.after(s.due, now, n)
		part = part[n:]
		if s.message == messageHeaderBytes {
			s.length = messageHeaderBytes + int64(binary.BigEndian.Uint32(s.header[1:]))
		}
		if s.message >= messageHeaderBytes && s.message == s.length {
			s.message, s.length = 0, 0
		}
	}
}

// settleLocked sets the due times, gives back what is charged too much, and returns
// the bytes that are still to be charged.
func (c *rpcConn) settleLocked() (more int64) {
	if c.mu.in.broken || c.mu.out.broken {
		clear(c.mu.streams)
	}
	due, deadline, held := never, never, int64(0)
	for _, s := range c.mu.streams {
		n := s.held(c.window)
		held += n
		if n > 0 && s.due.Before(due) {
			due = s.due
		}
		if s.waits(c.window) && s.due.Before(deadline) {
			deadline = s.due
		}
	}
	c.body.dueNano.Store(due.UnixNano())
	c.mu.deadline = deadline
	if c.mu.closed {
		return 0
	}
	if surplus := c.mu.charged - held; surplus > 0 {
		c.mu.charged -= surplus
		c.body.charge.Give(surplus)
	}
	return max(held-c.mu.charged, 0)
}

// armLocked sets the connection's deadline.
func (c *rpcConn) armLocked() {
	if c.mu.deadline.Before(never) {
		// The budget's clock may be that of a test, the connection's is the
		// system's.
		_ = c.Conn.SetReadDeadline(time.Now().Add(c.mu.deadline.Sub(c.body.charge.budget.clock.Now()))) // fails once it is closed
		c.mu.armed, c.mu.metered = true, true
	} else if c.mu.armed {
		_ = c.Conn.SetReadDeadline(time.Time{})
		c.mu.armed = false
	}
}

// Write follows what the server says of its streams: that they end, and how far
// their clients may go on.
func (c *rpcConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	now := c.body.charge.budget.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := false
	c.mu.out.feed(p[:n], func(f frame) {
		if f.kind == frameReset || f.kind <= frameHeaders && f.flags&flagEndStream != 0 {
			delete(c.mu.streams, f.stream)
			changed = true
		}
	}, func(f frame, offset int, part []byte) {
		if f.kind != frameWindowUpdate || offset+len(part) > len(c.mu.update) {
			return
		}
		copy(c.mu.update[offset:], part)
		s := c.mu.streams[f.stream]
		if s == nil || offset+len(part) < len(c.mu.update) {
			return
		}
		waited := s.waits(c.window)
		s.ahead -= int64(binary.BigEndian.Uint32(c.mu.update[:]) &^ (1 << 31))
		if !waited {
			s.due = c.body.charge.budget.pace.begin(now)
		}
		changed = true
	})
	if changed {
		c.settleLocked() // what is to be charged yet is charged by Read
		c.armLocked()
	}
	return n, err
}

// Close returns what is charged.
func (c *rpcConn) Close() error {
	c.mu.Lock()
	end := c.mu.begun && !c.mu.closed
	c.mu.closed = true
	if end {
		c.body.charge.Give(c.mu.charged)
		c.mu.charged = 0
	}
	c.mu.Unlock()
	if end {
		c.body.charge.budget.end(&c.body)
	}
	return c.Conn.Close()
}
