package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// StoreFunc stores whole lines. Refused ones are part of the receipt. If it returns an
// error, the lines may be sent again without effect on those already stored. What it
// writes to reply is sent to a TCP client; UDP clients get none. It is called from
// several goroutines, and the lines are valid until it returns.
type StoreFunc func(ctx context.Context, lines []byte, reply io.Writer) (storage.Receipt, error)

// Options configures a Listener. Door, Shared and Store are required.
type Options struct {
	Door   string       // name of the door in metrics
	Shared *door.Shared // of the doors of the server
	Store  StoreFunc

	// Whole returns the length of the whole lines at the start of b, for protocols in
	// which a newline may be part of a line; 0 = b ends within its first line. nil =
	// every newline ends a line.
	Whole func(b []byte) int

	MaxConnections int // over TCP; 0 = DefaultMaxConnections
	MaxLineBytes   int // length of a line; 0 = DefaultMaxLineBytes
	QueueBytes     int // of datagrams that have not been stored, for each port; 0 = DefaultQueueBytes

	Registerer prometheus.Registerer // nil = none
}

// Defaults of Options.
const (
	DefaultMaxConnections = 1024
	DefaultMaxLineBytes   = 1 << 20
	DefaultQueueBytes     = 8 << 20
)

const (
	// idleTimeout ends connections that send nothing. Senders of metrics send every
	// few minutes at least, and connect again.
	idleTimeout = 15 * time.Minute
	// drainTime is the time for which a connection or port is still read after the
	// start of a shutdown, so that what the kernel has received is stored.
	drainTime = 200 * time.Millisecond
	// maxReplyTime bounds the time a client may take to accept a reply.
	maxReplyTime = 10 * time.Second
)

// Listener serves the ports of a door. It is safe for concurrent use.
type Listener struct {
	opts    Options
	metrics *metrics
	log     limitedLog

	ctx      context.Context // ends when lines are no longer to be stored
	cancel   context.CancelFunc
	draining atomic.Bool
	serving  sync.WaitGroup // of ports and connections

	mu struct {
		sync.Mutex
		closed bool
		ports  map[port]struct{}
		conns  map[net.Conn]struct{}
	}
}

// port is a socket that receives: a net.Listener or a net.PacketConn.
type port interface{ Close() error }

// New returns a listener without ports.
func New(o Options) *Listener {
	setDefault(&o.MaxConnections, DefaultMaxConnections)
	setDefault(&o.MaxLineBytes, DefaultMaxLineBytes)
	setDefault(&o.QueueBytes, DefaultQueueBytes)
	if o.Whole == nil {
		o.Whole = lastLine
	}
	l := &Listener{opts: o, log: limitedLog{clock: o.Shared.Clock, log: o.Shared.Logger, door: o.Door}}
	l.metrics = newMetrics(o.Door, o.Registerer)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.mu.ports, l.mu.conns = map[port]struct{}{}, map[net.Conn]struct{}{}
	return l
}

func setDefault(p *int, v int) {
	if *p == 0 {
		*p = v
	}
}

// open adds a port. It returns false after Shutdown has begun.
func (l *Listener) open(p port) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.closed {
		return false
	}
	l.mu.ports[p] = struct{}{}
	l.serving.Add(1)
	return true
}

// Shutdown closes the ports, stores what has been received, and ends the connections.
// It returns the error of ctx if that ends first; the lines that remain are then dropped and
// counted.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.draining.Store(true)
	l.mu.Lock()
	l.mu.closed = true
	for p := range l.mu.ports {
		drain(p)
	}
	for c := range l.mu.conns {
		_ = c.SetReadDeadline(time.Now().Add(drainTime)) // an error ends the connection too
	}
	l.mu.Unlock()

	done := make(chan struct{})
	go func() {
		l.serving.Wait()
		close(done)
	}()
	defer l.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	l.cancel()
	l.mu.Lock()
	for p := range l.mu.ports {
		_ = p.Close()
	}
	for c := range l.mu.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	<-done
	return context.Cause(ctx)
}

// drain closes a port for connections, and lets one for datagrams be read a little
// longer.
func drain(p port) {
	if packets, ok := p.(net.PacketConn); ok {
		_ = packets.SetReadDeadline(time.Now().Add(drainTime)) // an error ends the port too
		return
	}
	_ = p.Close()
}

// closePort ends the service of a port.
func (l *Listener) closePort(p port) {
	_ = p.Close()
	l.mu.Lock()
	delete(l.mu.ports, p)
	l.mu.Unlock()
	l.serving.Done()
}

// retryPort waits after an error of a port, such as a lack of file descriptors. It
// returns false once the port is to end.
func (l *Listener) retryPort(network string, err error) bool {
	if l.draining.Load() || errors.Is(err, net.ErrClosed) {
		return false
	}
	l.log.warn(network+" failed", "the port fails, trying again", 1, "network", network, "err", err)
	select {
	case <-l.opts.Shared.Clock.After(portRetryEvery):
		return true
	case <-l.ctx.Done():
		return false
	}
}

// portRetryEvery is the pause after an error of a port.
const portRetryEvery = 100 * time.Millisecond
