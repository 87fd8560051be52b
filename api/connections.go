package api

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// refusedCounter returns the counter of connections refused at the limit. Both
// ports share it.
func refusedCounter(reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tsdb_connections_refused_total", Help: "Connections closed because there were more than --web.max-connections, by protocol.",
	}, []string{"protocol"})
	err := reg.Register(c)
	var registered prometheus.AlreadyRegisteredError
	if errors.As(err, &registered) {
		return registered.ExistingCollector.(*prometheus.CounterVec), nil
	}
	return c, err
}

// connections tracks the connections of the HTTP server. At the limit, a new
// connection replaces the one that has been idle longest; it is refused only if
// every connection has a request in flight. It is safe for concurrent use.
type connections struct {
	max     int
	refused prometheus.Counter

	mu struct {
		sync.Mutex
		all    map[net.Conn]connection
		closed bool
	}
}

type connection struct {
	state http.ConnState
	since time.Time // start of the state
}

func newConnections(limit int, refused prometheus.Counter) *connections {
	c := &connections{max: cmp.Or(limit, DefaultMaxConnections), refused: refused}
	c.mu.all = make(map[net.Conn]connection)
	return c
}

// connState is the ConnState hook of http.Server.
func (c *connections) connState(conn net.Conn, state http.ConnState) {
	if surplus := c.record(conn, state, time.Now()); surplus != nil {
		_ = surplus.Close() // no request is in flight on it
	}
}

// record stores the state of a connection and returns the connection to close in
// its favour, nil if there is none.
func (c *connections) record(conn net.Conn, state http.ConnState, now time.Time) (surplus net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.mu.all, conn)
		return nil
	}
	c.mu.all[conn] = connection{state, now}
	if state != http.StateNew {
		return nil
	}
	if c.mu.closed { // it was accepted while the listener was being closed
		return conn
	}
	if len(c.mu.all) <= c.max {
		return nil
	}
	c.refused.Inc()
	surplus = conn
	for other, o := range c.mu.all {
		if other != conn && o.state != http.StateActive && (surplus == conn || o.since.Before(c.mu.all[surplus].since)) {
			surplus = other
		}
	}
	delete(c.mu.all, surplus) // the caller closes it
	return surplus
}

// closeUnused closes the connections that have not received a request yet, and
// all new ones from now on. http.Server.Shutdown would wait 5 s for each of them,
// and load balancers and browsers keep some in reserve.
func (c *connections) closeUnused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.closed = true
	for conn, x := range c.mu.all {
		if x.state == http.StateNew {
			_ = conn.Close() // it has carried no request
		}
	}
}

// limitListener closes connections over a limit as soon as they are accepted, so
// that clients can try again at once.
type limitListener struct {
	net.Listener
	max     int64
	open    atomic.Int64
	refused prometheus.Counter
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			return &limitedConn{Conn: conn, open: &l.open}, nil
		}
		l.open.Add(-1)
		l.refused.Inc()
		_ = conn.Close() // it has carried no request
	}
}

type limitedConn struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *limitedConn) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}
