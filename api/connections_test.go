package api

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// namedConn is a connection with a name and no other behaviour.
type namedConn struct {
	net.Conn
	name string
}

func TestIdleConnectionsAreReplacedByNewOnes(t *testing.T) {
	c := newConnections(3, prometheus.NewCounter(prometheus.CounterOpts{Name: "refused"}))
	conns := map[string]*namedConn{}
	second := 0
	note := func(name string, state http.ConnState, want string) {
		t.Helper()
		if conns[name] == nil {
			conns[name] = &namedConn{name: name}
		}
		second++
		got := ""
		if x := c.record(conns[name], state, time.Unix(int64(second), 0)); x != nil {
			got = x.(*namedConn).name
		}
		if got != want {
			t.Errorf("%s %v: %q is closed, want %q", name, state, got, want)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		note(name, http.StateNew, "")
		note(name, http.StateActive, "")
	}
	note("d", http.StateNew, "d") // all others have requests under way
	note("d", http.StateClosed, "")
	note("b", http.StateIdle, "")
	note("a", http.StateIdle, "")
	note("e", http.StateNew, "b") // idle for longer than a
	note("b", http.StateClosed, "")
	note("f", http.StateNew, "a")
	note("a", http.StateClosed, "")
	note("e", http.StateActive, "")
	note("g", http.StateNew, "f") // has sent nothing
	note("f", http.StateClosed, "")
	note("c", http.StateHijacked, "")
	note("h", http.StateNew, "")
	if n := len(c.mu.all); n != 3 {
		t.Errorf("%d connections are known", n)
	}
}

func TestConnectionsOverTheLimitAreClosedAtOnce(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := prometheus.NewCounter(prometheus.CounterOpts{Name: "refused"})
	l := &limitListener{Listener: inner, max: 1, refused: refused}
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	first := dial()
	defer first.Close()
	server := <-accepted
	second := dial()
	defer second.Close()
	if n, err := second.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v from a connection over the limit", n, err)
	}
	server.Close()
	server.Close() // counts once
	third := dial()
	defer third.Close()
	(<-accepted).Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-accepted
	if n := l.open.Load(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}
