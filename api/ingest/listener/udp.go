package listener

import (
	"bytes"
	"io"
	"net"
	"sync"
)

const (
	// maxDatagramBytes is more than the longest datagram.
	maxDatagramBytes = 64 << 10
	// kernelBufferBytes is asked of the kernel for datagrams that have not been read,
	// which may grant less.
	kernelBufferBytes = 4 << 20
	// maxBatchBytes bounds the lines of datagrams that are stored together.
	maxBatchBytes = 1 << 20
	// datagramCost is charged to the queue for each datagram besides its bytes.
	datagramCost = 16
)

// ServeUDP receives datagrams on pc until Shutdown, and then returns nil once they are
// stored. It closes pc. The last line of a datagram needs no newline.
func (l *Listener) ServeUDP(pc net.PacketConn) error {
	if !l.open(pc) {
		return pc.Close()
	}
	defer l.closePort(pc)
	if b, ok := pc.(interface{ SetReadBuffer(int) error }); ok {
		_ = b.SetReadBuffer(kernelBufferBytes) // the default works too, with less load
	}
	q := &queue{limit: l.opts.QueueBytes, size: l.metrics.queueBytes.Add}
	q.cond.L = &q.mu
	var storing sync.WaitGroup
	storing.Go(func() { l.storeQueue(pc, q) })
	err := l.receive(pc, q)
	q.close()
	storing.Wait()
	return err
}

// receive queues datagrams.
func (l *Listener) receive(pc net.PacketConn, q *queue) error {
	buf := make([]byte, maxDatagramBytes)
	for {
		n, from, err := pc.ReadFrom(buf[:maxDatagramBytes-1])
		if err != nil {
			if l.retryPort("udp", err) {
				continue
			}
			if l.draining.Load() {
				return nil
			}
			return err
		}
		l.metrics.datagrams.Inc()
		l.metrics.bytes[udp].Add(float64(n))
		if n == 0 {
			continue
		}
		if buf[n-1] != '\n' {
			buf[n] = '\n'
			n++
		}
		d := buf[:n]
		// A line that does not end with its datagram must not swallow the next one.
		alone := l.opts.Whole(d) < n
		if !q.put(d, alone) {
			l.drop(udp, dropQueueFull, countLines(d), "the queue of datagrams is full, the last one dropped is from "+addrText(from)+": "+excerpt(d))
		}
	}
}

func addrText(a net.Addr) string {
	if a == nil {
		return "an unknown address"
	}
	return a.String()
}

// storeQueue stores datagrams until the queue is closed and empty. Between batches it
// looks for datagrams that the kernel has dropped.
func (l *Listener) storeQueue(pc net.PacketConn, q *queue) {
	var t taken
	var dropped uint32
	for q.take(&t) {
		if n, ok := kernelDrops(pc); ok && n != dropped {
			l.dropByKernel(int(n - dropped))
			dropped = n
		}
		from := 0
		for from < len(t.ends) {
			first, to := start(t.ends, from), from+1
			if t.ends[from] > 0 {
				for to < len(t.ends) && t.ends[to] > 0 && t.ends[to]-first <= maxBatchBytes {
					to++
				}
			}
			last := abs(t.ends[to-1])
			l.store(udp, t.bytes[first:last], io.Discard)
			q.size(-float64(last - first))
			from = to
		}
	}
}

// start returns the index of the first byte of a datagram.
func start(ends []int, i int) int {
	if i == 0 {
		return 0
	}
	return abs(ends[i-1])
}

func abs(n int) int { return max(n, -n) }

// taken are datagrams that have left the queue: their bytes, and the index after the
// last byte of each, negative if it is stored alone.
type taken struct {
	bytes []byte
	ends  []int
}

// queue holds datagrams that have not been stored. One goroutine puts, one takes.
type queue struct {
	limit int
	size  func(delta float64) // reports a change of the bytes in the queue

	mu      sync.Mutex
	cond    sync.Cond
	waiting taken
	held    int // bytes of the datagrams that are being stored
	closed  bool
}

// put adds a datagram. It returns false if the queue is full.
func (q *queue) put(d []byte, alone bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.waiting
	if q.held+len(w.bytes)+len(d)+datagramCost*(len(w.ends)+1) > q.limit {
		return false
	}
	w.bytes = append(w.bytes, d...)
	end := len(w.bytes)
	if alone {
		end = -end
	}
	w.ends = append(w.ends, end)
	q.size(float64(len(d)))
	q.cond.Signal()
	return true
}

// take waits for datagrams and swaps them with t, whose own have been stored. It
// returns false once the queue is closed and empty.
func (q *queue) take(t *taken) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = 0
	for len(q.waiting.ends) == 0 {
		if q.closed {
			return false
		}
		q.cond.Wait()
	}
	t.bytes, t.ends = t.bytes[:0], t.ends[:0]
	q.waiting, *t = *t, q.waiting
	q.held = len(t.bytes) + datagramCost*len(t.ends)
	return true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.cond.Signal()
}

// countLines returns the number of lines of b that are not empty.
func countLines(b []byte) (n int) {
	for line := range bytes.Lines(b) {
		if len(bytes.TrimSpace(line)) > 0 {
			n++
		}
	}
	return n
}
