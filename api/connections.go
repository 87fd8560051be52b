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

// refusedCounter returns the counter of connections over the limit, which both
// ports share.
func refusedCounter(reg prometheus.Registerer) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tsdb_connections_refused_total", Help: "Connections closed because there were more than --web.max-connections, by protocol.",
	}, []string{"protocol"})
	err := reg.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		return there.ExistingCollector.(*prometheus.CounterVec), nil
	}
	return c, err
}

// connections are those of the HTTP server. Over the limit, the one that has
// waited longest without a request makes room for a new one, which is refused
// only if all have a request under way. It is safe for concurrent use.
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
	since time.Time // of the state
}

func newConnections(limit int, refused prometheus.Counter) *connections {
	c := &connections{max: cmp.Or(limit, DefaultMaxConnections), refused: refused}
	c.mu.all = make(map[net.Conn]connection)
	return c
}

// follow is told the states of all connections.
func (c *connections) follow(conn net.Conn, state http.ConnState) {
	if surplus := c.note(conn, state, time.Now()); surplus != nil {
		_ = surplus.Close() // nothing was said on it, or nothing for long
	}
}

// note keeps a state and returns the connection to be closed for it, or nil.
func (c *connections) note(conn net.Conn, state http.ConnState, now time.Time) (surplus net.Conn) {
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
	if c.mu.closed { // it came in while the listener was being closed
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
	delete(c.mu.all, surplus) // its closing is under way
	return surplus
}

// closeSilent closes the connections on which no request has come yet, and those
// still to come. Shutdown would wait 5 s for each of them, and balancers and
// browsers keep some in reserve.
func (c *connections) closeSilent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.closed = true
	for conn, x := range c.mu.all {
		if x.state == http.StateNew {
			_ = conn.Close() // nothing was said on it
		}
	}
}

// limitListener closes connections over a limit as soon as they are accepted:
// a client learns at once that it has to try again.
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
		_ = conn.Close() // nothing was said on it
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
