package reqbody

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tsdb/internal/vfs"
)

const testWindow = 64 << 10

// rawFrame returns a frame as it is on the wire.
func rawFrame(kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// rawMessage returns the first come bytes of a gRPC message of length bytes.
func rawMessage(length, come int) []byte {
	b := make([]byte, messageHeaderBytes+come)
	binary.BigEndian.PutUint32(b[1:], uint32(length))
	return b
}

func windowUpdate(stream, n uint32) []byte {
	return rawFrame(frameWindowUpdate, 0, stream, binary.BigEndian.AppendUint32(nil, n)...)
}

// wire is a connection whose client has sent all its bytes; they come in parts of
// at most step bytes.
type wire struct {
	net.Conn // nil: what is not below is not called
	in       []byte
	step     int
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.in[:min(len(w.in), w.step)])
	w.in = w.in[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error)     { return len(p), nil }
func (w *wire) SetReadDeadline(time.Time) error { return nil }
func (w *wire) Close() error                    { return nil }

// follow returns what a connection is charged after in and then out, which pass
// in parts of step bytes, and checks that every byte came through and that all
// is returned in the end.
func follow(t *testing.T, in, out []byte, step int) int64 {
	t.Helper()
	b := NewBudget(Options{Limit: 1 << 40, Clock: vfs.NewManualClock(epoch)})
	w := &wire{in: in, step: step}
	c := b.NewRPCConn(w, testWindow, w).(*rpcConn)
	check := func() {
		held := int64(0)
		for id, s := range c.mu.streams {
			if n := s.held(testWindow); n < 0 || s.message < 0 {
				t.Fatalf("stream %d holds %d bytes, its message %d", id, n, s.message)
			}
			held += s.held(testWindow)
		}
		if used := b.Used(); used != held || c.mu.charged != held {
			t.Fatalf("%d bytes are held, %d taken, %d noted", held, used, c.mu.charged)
		}
	}
	var got []byte
	p := make([]byte, 1<<10)
	for {
		n, err := c.Read(p)
		got = append(got, p[:n]...)
		check()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, in) {
		t.Fatalf("%d bytes came of %d, or others", len(got), len(in))
	}
	for part := range slices.Chunk(out, step) {
		if n, err := c.Write(part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
		check()
	}
	charged := b.Used()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := b.Used(); n != 0 || len(b.mu.bodies) != 0 {
		t.Errorf("%d bytes and %d connections remain", n, len(b.mu.bodies))
	}
	return charged
}

func TestUnfinishedMessagesAreCharged(t *testing.T) {
	preface := []byte(clientPreface)
	settings := rawFrame(0x4, 0, 0)
	open := rawFrame(frameHeaders, 0x4, 1, 0x82)
	data := func(flags byte, payload []byte) []byte { return rawFrame(frameData, flags, 1, payload...) }
	for _, c := range []struct {
		name    string
		in, out [][]byte
		want    int64
	}{
		{"no stream", [][]byte{preface, settings}, nil, 0},
		{"part of a message", [][]byte{preface, settings, open, data(0, rawMessage(1000, 300))}, nil, 305},
		{"part of its header", [][]byte{preface, settings, open, data(0, rawMessage(1000, 0)[:3])}, nil, 3},
		{"a message", [][]byte{preface, settings, open, data(flagEndStream, rawMessage(1000, 1000))}, nil, 0},
		{"an empty message", [][]byte{preface, settings, open, data(0, rawMessage(0, 0))}, nil, 0},
		{"one and a half", [][]byte{preface, settings, open, data(0, append(rawMessage(10, 10), rawMessage(10, 5)...))}, nil, 10},
		{"in two frames", [][]byte{preface, settings, open, data(0, rawMessage(1000, 300)), data(0, make([]byte, 200))}, nil, 505},
		{"padding", [][]byte{preface, settings, open, data(flagPadded, slices.Concat([]byte{7}, rawMessage(1000, 300), make([]byte, 7))), data(0, make([]byte, 10))}, nil, 315},
		{"nothing but padding", [][]byte{preface, settings, open, data(flagPadded, []byte{2, 0, 0}), data(flagPadded, []byte{0}), data(0, rawMessage(1000, 300))}, nil, 305},
		{"more padding than there is", [][]byte{preface, settings, open, data(flagPadded, []byte{200, 0, 0})}, nil, 0},
		{"padded frame without a byte", [][]byte{preface, settings, open, data(flagPadded, nil), data(0, rawMessage(9, 1))}, nil, 6},
		{"CONTINUATION", [][]byte{preface, settings, rawFrame(frameHeaders, 0, 1, 0x82), rawFrame(0x9, 0x4, 1, make([]byte, 300)...), data(0, rawMessage(1000, 300))}, nil, 305},
		{"frames that nobody knows", [][]byte{preface, settings, open, rawFrame(0xfa, 0xff, 1, make([]byte, 99)...), data(0, rawMessage(1000, 300)), rawFrame(0xfb, 0xff, 0)}, nil, 305},
		{"the greatest message", [][]byte{preface, settings, open, data(0, append([]byte{0, 0xff, 0xff, 0xff, 0xff}, make([]byte, 100)...))}, nil, 105},
		{"stream without HEADERS", [][]byte{preface, settings, data(0, rawMessage(1000, 300))}, nil, 0},
		{"two streams", [][]byte{preface, settings, open, data(0, rawMessage(1000, 300)), rawFrame(frameHeaders, 0x4, 3, 0x82), rawFrame(frameData, 0, 3, rawMessage(1000, 100)...)}, nil, 410},
		{"reset by the client", [][]byte{preface, settings, open, data(0, rawMessage(1000, 300)), rawFrame(frameReset, 0, 1, 0, 0, 0, 8)}, nil, 0},
		{"HEADERS of a stream that was", [][]byte{preface, settings, open, rawFrame(frameReset, 0, 1, 0, 0, 0, 8), open, data(0, rawMessage(1000, 300))}, nil, 0},
		{"reset by the server", [][]byte{preface, settings, open, data(0, rawMessage(1000, 300))}, [][]byte{rawFrame(frameReset, 0, 1, 0, 0, 0, 8)}, 0},
		{"ended by the server", [][]byte{preface, settings, open, data(0, rawMessage(1000, 300))}, [][]byte{rawFrame(frameHeaders, 0x4, 1, 0x88), rawFrame(frameHeaders, 0x4|flagEndStream, 1, 0x88)}, 0},
		{"another one ended by the server", [][]byte{preface, settings, open, data(0, rawMessage(1000, 300))}, [][]byte{rawFrame(frameHeaders, 0x4|flagEndStream, 3, 0x88)}, 305},
		{"messages that nobody takes", [][]byte{preface, settings, open, bytes.Repeat(data(0, rawMessage(9995, 9995)), 6)}, nil, 60_000 - testWindow/4},
		{"messages that are taken", [][]byte{preface, settings, open, bytes.Repeat(data(0, rawMessage(9995, 9995)), 6)}, [][]byte{windowUpdate(1, 50_000), windowUpdate(0, 50_000)}, 0},
		{"not HTTP/2", [][]byte{[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), open, data(0, rawMessage(1000, 300))}, nil, 0},
		{"a frame that is too long", [][]byte{preface, settings, open, data(0, rawMessage(1000, 300)), rawFrame(frameData, 0, 1, make([]byte, maxFrameBytes+1)...), data(0, rawMessage(1000, 300))}, nil, 0},
		{"the longest frame", [][]byte{preface, settings, open, data(0, rawMessage(1<<20, maxFrameBytes-messageHeaderBytes))}, nil, maxFrameBytes},
	} {
		for _, step := range []int{1, 2, 7, 1 << 20} {
			if got := follow(t, slices.Concat(c.in...), slices.Concat(c.out...), step); got != c.want {
				t.Errorf("%s, %d bytes at once: %d bytes are charged, want %d", c.name, step, got, c.want)
			}
		}
	}
}

// FuzzRPCConn passes any bytes in reads of any size: they arrive unchanged, and the
// charges are right.
func FuzzRPCConn(f *testing.F) {
	message := slices.Concat([]byte(clientPreface), rawFrame(0x4, 0, 0), rawFrame(frameHeaders, 0x4, 1, 0x82), rawFrame(frameData, flagPadded, 1, append([]byte{3}, rawMessage(1000, 300)...)...))
	f.Add(message, rawFrame(frameReset, 0, 1, 0, 0, 0, 8), 3)
	f.Add(message, windowUpdate(1, 1<<31-1), 100)
	f.Add(append(message, rawFrame(frameData, flagEndStream, 1, rawMessage(1<<31, 0)...)...), windowUpdate(1, 0), 1)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\n\r\n"), 5)
	f.Fuzz(func(t *testing.T, in, out []byte, step int) {
		in = append([]byte(clientPreface), in...)
		whole := follow(t, in, out, max(len(in), len(out), 1))
		if parts := follow(t, in, out, max(step, 1)); parts != whole {
			t.Errorf("%d bytes are charged in parts of %d, %d as a whole", parts, step, whole)
		}
	})
}

// talk runs test with the client's end of a connection, in a bubble of virtual
// time. ended has the error that the server's reads end with.
func talk(t *testing.T, test func(t *testing.T, b *Budget, c *rpcConn, client net.Conn, ended <-chan error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(Options{Limit: 1 << 20, MinRate: 100, Clock: vfs.SystemClock}) // virtual in the bubble
		client, server := net.Pipe()
		c := b.NewRPCConn(server, testWindow, server).(*rpcConn)
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
			ended <- err
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		if _, err := client.Write(slices.Concat([]byte(clientPreface), rawFrame(0x4, 0, 0), rawFrame(frameHeaders, 0x4, 1, 0x82))); err != nil {
			t.Fatal(err)
		}
		test(t, b, c, client, ended)
		client.Close()
		c.Close()
		if n := b.Used(); n != 0 {
			t.Errorf("%d bytes are still charged", n)
		}
	})
}

func TestStalledMessagesEndTheirConnection(t *testing.T) {
	talk(t, func(t *testing.T, _ *Budget, _ *rpcConn, client net.Conn, ended <-chan error) {
		time.Sleep(100 * Grace) // without a message there is no hurry
		_, _ = client.Write(rawFrame(frameData, 0, 1, rawMessage(1000, 1000)...))
		time.Sleep(100 * Grace)
		begin := time.Now()
		_, _ = client.Write(rawFrame(frameData, 0, 1, rawMessage(1000, 500)...))
		err := <-ended
		if spent := time.Since(begin); !errors.Is(err, ErrTooSlow) || spent < Grace || spent > Grace+time.Second {
			t.Errorf("%v after %v", err, spent)
		}
	})
}

func TestSlowButSteadyMessagesPass(t *testing.T) {
	talk(t, func(t *testing.T, b *Budget, c *rpcConn, client net.Conn, ended <-chan error) {
		_, _ = client.Write(rawFrame(frameData, 0, 1, rawMessage(30_000, 0)...))
		for range 300 { // at the rate, ten times as long as the grace
			time.Sleep(time.Second)
			_, _ = client.Write(rawFrame(frameData, 0, 1, make([]byte, 100)...))
		}
		synctest.Wait()
		_, _ = c.Write(windowUpdate(1, 30_000))
		if n := b.Used(); n != 0 {
			t.Errorf("%d bytes are charged though the message is complete", n)
		}
		select {
		case err := <-ended:
			t.Error(err)
		default:
		}
	})
}

// TestTheHandshakeKeepsItsDeadline: until a message has begun, the deadline is that
// of gRPC's handshake.
func TestTheHandshakeKeepsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(Options{Limit: 1 << 20, MinRate: 100, Clock: vfs.SystemClock})
		client, server := net.Pipe()
		defer client.Close()
		c := b.NewRPCConn(server, testWindow, server)
		defer c.Close()
		_ = server.SetDeadline(time.Now().Add(time.Second))
		go func() { _, _ = client.Write([]byte(clientPreface)) }()
		if _, err := io.Copy(io.Discard, c); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrTooSlow) {
			t.Errorf("the handshake ended with %v", err)
		}
	})
}

// TestMessagesThatWaitForTheServerAreNotEnded: a client that the server does not
// let send is not slow, until it may go on.
func TestMessagesThatWaitForTheServerAreNotEnded(t *testing.T) {
	talk(t, func(t *testing.T, b *Budget, c *rpcConn, client net.Conn, ended <-chan error) {
		_, _ = client.Write(rawFrame(frameData, 0, 1, rawMessage(1<<20, 4<<10-messageHeaderBytes)...))
		for range testWindow/(4<<10) - 1 {
			_, _ = client.Write(rawFrame(frameData, 0, 1, make([]byte, 4<<10)...))
		}
		synctest.Wait()
		if n := b.Used(); n != testWindow {
			t.Errorf("%d bytes are charged of a window of %d", n, testWindow)
		}
		time.Sleep(100 * Grace)
		select {
		case err := <-ended:
			t.Fatalf("ended while it waited for the server: %v", err)
		default:
		}
		begin := time.Now()
		_, _ = c.Write(windowUpdate(1, 1<<20))
		err := <-ended
		if spent := time.Since(begin); !errors.Is(err, ErrTooSlow) || spent < Grace || spent > Grace+time.Second {
			t.Errorf("%v after %v", err, spent)
		}
	})
}

// TestStalledMessagesYieldToBodies: a connection that is behind is cut off if
// others need its memory, whether or not it is the client's turn.
func TestStalledMessagesYieldToBodies(t *testing.T) {
	talk(t, func(t *testing.T, b *Budget, _ *rpcConn, client net.Conn, ended <-chan error) {
		_, _ = client.Write(rawFrame(frameData, 0, 1, rawMessage(1<<20, 10_000)...))
		time.Sleep(2 * yieldLag)
		other := b.NewCharge()
		if err := other.Take(t.Context(), 1<<20-1000); err == nil {
			t.Error("the memory of a connection was granted twice")
		}
		if err := <-ended; err == nil {
			t.Error("the connection goes on")
		}
	})
}

func BenchmarkRPCConnRead(b *testing.B) {
	budget := NewBudget(Options{Limit: 1 << 40})
	message := rawFrame(frameData, 0, 1, rawMessage(maxFrameBytes-messageHeaderBytes, maxFrameBytes-messageHeaderBytes)...)
	w := &wire{in: slices.Concat([]byte(clientPreface), rawFrame(frameHeaders, 0x4, 1)), step: 32 << 10}
	c := budget.NewRPCConn(w, testWindow, w)
	p := make([]byte, 32<<10)
	_, _ = c.Read(p)
	update := windowUpdate(1, maxFrameBytes)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		w.in = message
		_, _ = c.Read(p)
		_, _ = c.Write(update)
	}
}
