package listener

import (
	"log/slog"
	"sync"
	"time"

	"tsdb/internal/vfs"
)

// logEvery is the minimum time between two messages of a kind.
const logEvery = 10 * time.Second

// limitedLog logs messages at a bounded rate, with the number of events since the last
// message of the same kind. Kinds are few. It is safe for concurrent use.
type limitedLog struct {
	clock vfs.Clock
	log   *slog.Logger
	door  string

	mu    sync.Mutex
	kinds map[string]*logKind
}

type logKind struct {
	logged time.Time
	events int // since then
}

// warn logs a warning about n events, or counts them for the next one.
func (l *limitedLog) warn(kind, text string, n int, args ...any) {
	if n = l.take(kind, n); n > 0 {
		l.log.Warn(text, append([]any{"door", l.door, "count", n}, args...)...)
	}
}

// take returns the number of events to report now, 0 if it is too early.
func (l *limitedLog) take(kind string, n int) int {
	now := l.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[string]*logKind{}
	}
	k := l.kinds[kind]
	if k == nil {
		k = &logKind{}
		l.kinds[kind] = k
	}
	k.events += n
	if !k.logged.IsZero() && now.Sub(k.logged) < logEvery {
		return 0
	}
	n, k.events, k.logged = k.events, 0, now
	return n
}
