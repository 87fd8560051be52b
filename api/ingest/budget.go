package ingest

import (
	"context"
	"sync"
	"time"

	"tsdb/internal/vfs"
)

// budgetWait bounds how long a request waits for others to finish before it is
// told to come again.
const budgetWait = time.Second

// budget bounds the bytes that all requests under way hold together: bodies as
// they arrive, what they decompress to and what is decoded from that. It is
// safe for concurrent use.
type budget struct {
	clock vfs.Clock
	limit int64

	mu struct {
		sync.Mutex
		used  int64
		freed chan struct{} // closed when bytes come back; nil if nobody waits
	}
}

func newBudget(limit int64, clock vfs.Clock) *budget {
	return &budget{clock: clock, limit: limit}
}

// take charges n bytes, after a bounded wait if others hold too many. A
// request for more than the limit is granted when it is alone.
func (b *budget) take(ctx context.Context, n int64) bool {
	freed, ok := b.try(n)
	if ok {
		return true
	}
	deadline := b.clock.After(budgetWait)
	for !ok {
		select {
		case <-ctx.Done():
			return false
		case <-deadline:
			return false
		case <-freed:
		}
		freed, ok = b.try(n)
	}
	return true
}

func (b *budget) try(n int64) (freed chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.used == 0 || b.mu.used+n <= b.limit {
		b.mu.used += n
		return nil, true
	}
	if b.mu.freed == nil {
		b.mu.freed = make(chan struct{})
	}
	return b.mu.freed, false
}

// give returns n bytes.
func (b *budget) give(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.used -= n
	if b.mu.freed != nil {
		close(b.mu.freed)
		b.mu.freed = nil
	}
}
