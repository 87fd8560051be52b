// Package gate bounds how many reads run at a time. Queries have a queue of
// their own; this one is for what reads samples without evaluating anything:
// remote read and the raw series of gRPC, which share one gate.
package gate

import (
	"context"
	"errors"
	"sync/atomic"
)

// ErrFull is returned when as many reads wait as may. Trying again later can
// help.
var ErrFull = errors.New("too many reads are waiting already, try again later")

// DefaultConcurrent is how many reads run at a time by default.
const DefaultConcurrent = 10

// waitersASlot bounds how many reads wait for each that may run.
const waitersASlot = 50

// Gate lets a bounded number of reads run and a bounded number wait. It is safe
// for concurrent use.
type Gate struct {
	slots   chan struct{} // one token a running read
	waiting atomic.Int64
}

// New returns a gate for so many reads at a time, at least 1.
func New(concurrent int) *Gate { return &Gate{slots: make(chan struct{}, concurrent)} }

// Enter waits for a turn, which ends with Leave. The error is that of ctx, or
// ErrFull; who gets one does not leave.
func (g *Gate) Enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > int64(waitersASlot*cap(g.slots)) {
		return ErrFull
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Leave ends a turn.
func (g *Gate) Leave() { <-g.slots }

// Drain waits until nobody has a turn and lets nobody in any more, or returns
// the error of ctx. A database is closed after its readers have left.
func (g *Gate) Drain(ctx context.Context) error {
	for range cap(g.slots) {
		select {
		case g.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
