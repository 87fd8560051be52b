package listener

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/internal/panics"
	"tsdb/storage"
)

// network indexes the metrics of TCP and UDP.
type network int

const (
	tcp network = iota
	udp
	numNetworks
)

func (n network) String() string { return [...]string{"tcp", "udp"}[n] }

// Reasons why lines are dropped before a door has seen them, or although it has not
// stored them.
const (
	dropQueueFull    = "queue_full"    // datagrams come faster than they are stored
	dropKernelFull   = "kernel_full"   // datagrams come faster than they are received
	dropTooLong      = "line_too_long" // than Options.MaxLineBytes
	dropUnterminated = "unterminated"  // a connection ended within a line
	dropFailed       = "failed"        // storage failed, or the lines cannot be decoded
	dropShutdown     = "shutdown"      // storage did not take them before the server stopped
)

var dropReasons = []string{dropQueueFull, dropTooLong, dropUnterminated, dropFailed, dropShutdown}

// Pauses between attempts to store lines: they double from the first to the last.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
	// drainRetries bounds the attempts during a shutdown.
	drainRetries = 3
)

// store stores whole lines, and waits while storage takes none.
func (l *Listener) store(n network, lines []byte, reply io.Writer) {
	pause := firstRetry
	drained := 0 // failures during the shutdown
	for {
		receipt, err := l.storeOnce(lines, reply)
		if err == nil {
			l.refused(n, receipt)
			return
		}
		if l.draining.Load() {
			drained++
		}
		switch {
		case !door.Retryable(err):
			l.drop(n, dropFailed, countLines(lines), err.Error())
			return
		case drained > drainRetries || l.ctx.Err() != nil:
			l.drop(n, dropShutdown, countLines(lines), err.Error())
			return
		}
		l.metrics.retries.Inc()
		l.log.warn("retry", "lines are not stored yet, trying again", 1, "network", n.String(), "err", err)
		select {
		case <-l.opts.Shared.Clock.After(pause):
		case <-l.ctx.Done():
		}
		pause = min(2*pause, lastRetry)
	}
}

// storeOnce charges what the lines become and stores them.
func (l *Listener) storeOnce(lines []byte, reply io.Writer) (receipt storage.Receipt, err error) {
	defer panics.Catch(&err)
	charge := l.opts.Shared.Budget.NewCharge()
	defer charge.Release()
	if err := charge.Take(l.ctx, int64(len(lines))*door.DecodedCost); err != nil {
		return storage.Receipt{}, err
	}
	return l.opts.Store(l.ctx, lines, reply)
}

// refused logs what the door has refused, which it has counted and recorded.
func (l *Listener) refused(n network, r storage.Receipt) {
	if len(r.Rejected) == 0 {
		return
	}
	l.log.warn("refused", "samples refused", r.RejectedCount(), "network", n.String(), "reason", string(r.Rejected[0].Reason), "last", door.Describe(r.Rejected[0]))
}

// drop counts, records and logs dropped lines; why describes the last of them.
func (l *Listener) drop(n network, reason string, lines int, why string) {
	if lines == 0 {
		return
	}
	l.metrics.dropped[n][reason].Add(float64(lines))
	l.opts.Shared.DroppedLines(l.opts.Door, reason, why, lines)
	l.log.warn(n.String()+reason, "lines dropped", lines, "network", n.String(), "reason", reason, "last", why)
}

// dropByKernel counts, records and logs n datagrams that the kernel has dropped. How many
// lines they had is not known.
func (l *Listener) dropByKernel(n int) {
	const why = "the kernel's buffer for datagrams was full: net.core.rmem_max bounds it"
	l.metrics.kernelDropped.Add(float64(n))
	l.opts.Shared.DroppedLines(l.opts.Door, dropKernelFull, why, n)
	l.log.warn(dropKernelFull, "datagrams dropped", n, "network", udp.String(), "reason", dropKernelFull, "last", why)
}

// lastLine returns the length of the lines at the start of b that end with a newline.
func lastLine(b []byte) int { return bytes.LastIndexByte(b, '\n') + 1 }

// excerpt returns the start of the first line of b, for a message.
func excerpt(b []byte) string {
	const maxExcerpt = 120
	line, _, _ := bytes.Cut(b[:min(len(b), maxExcerpt+1)], []byte("\n"))
	return strconv.Quote(door.Clip(strings.ToValidUTF8(string(line), "�"), maxExcerpt))
}
