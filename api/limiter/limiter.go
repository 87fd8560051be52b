// Package limiter bounds the number of concurrent reads. PromQL queries have a
// queue of their own; this limiter is for reads of samples without evaluation:
// remote read and the raw series of gRPC, which share one.
package limiter

import (
	"context"
	"errors"
	"sync/atomic"
)

// ErrFull is returned when the maximum number of reads is waiting already. It is
// worth trying again later.
var ErrFull = errors.New("too many reads are waiting already, try again later")

// DefaultConcurrent is the default number of concurrent reads.
const DefaultConcurrent = 10

// waitersPerSlot bounds the number of waiting reads for each slot.
const waitersPerSlot = 50

// Limiter lets a bounded number of reads run and a bounded number wait. It is safe
// for concurrent use.
type Limiter struct {
	slots   chan struct{} // one token per running read
	waiting atomic.Int64
}

// New returns a limiter of the given number of concurrent reads, at least 1.
func New(concurrent int) *Limiter { return &Limiter{slots: make(chan struct{}, concurrent)} }

// Acquire waits for a slot. Once acquired, a slot is held until Release. The error
// is that of ctx, or ErrFull.
func (l *Limiter) Acquire(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > int64(waitersPerSlot*cap(l.slots)) {
		return ErrFull
	}
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release frees a slot.
func (l *Limiter) Release() { <-l.slots }

// Drain waits until all slots are free and keeps them, so that no further read
// starts, or returns the error of ctx. The database is closed after it.
func (l *Limiter) Drain(ctx context.Context) error {
	for range cap(l.slots) {
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
