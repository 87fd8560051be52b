package prom

import (
	"context"
	"errors"
	"sync/atomic"
)

// errTooManyReads is returned when as many reads wait as may.
var errTooManyReads = errors.New("too many reads are waiting already, try again later")

// gate lets a bounded number of reads run and a bounded number wait. It is safe
// for concurrent use.
type gate struct {
	slots   chan struct{} // one token a running read
	waiting atomic.Int64
}

// waitersASlot bounds how many reads wait for each that may run.
const waitersASlot = 50

func newGate(concurrent int) *gate { return &gate{slots: make(chan struct{}, concurrent)} }

// enter waits for a turn. The error is that of ctx, or errTooManyReads. Who got
// none leaves.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > int64(waitersASlot*cap(g.slots)) {
		return errTooManyReads
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() { <-g.slots }
