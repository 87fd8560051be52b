package admission

import (
	"context"
	"sync/atomic"
)

// Yielder lets one run of a query give its CPU slot to other queries, move to a
// heavy slot of the queue, or end. It is safe for concurrent use by goroutines that
// hold a CPU slot.
type Yielder struct {
	ctx   context.Context // of the run
	ended atomic.Bool     // ctx has ended; cheaper to load than ctx.Err
	share *CPUShare
	slot  *Slot
	stop  func() bool
}

// NewYielder returns a yielder for a run that holds a slot of the queue. The
// caller closes it.
func NewYielder(ctx context.Context, s *CPUShare, p *Slot) *Yielder {
	y := &Yielder{ctx: ctx, share: s, slot: p}
	y.stop = context.AfterFunc(ctx, func() { y.ended.Store(true) })
	return y
}

// Close releases the resources of the yielder.
func (y *Yielder) Close() { y.stop() }

// Yield gives the CPU slot to other queries if it is their turn, and waits until
// this query has a slot again. It returns the error of the context, or ErrPreempted
// if the query must release all its resources and restart; further calls then
// return ErrPreempted too. The caller holds no locks.
func (y *Yielder) Yield() error {
	y.share.yield(y.ctx)
	if y.ended.Load() {
		return y.ctx.Err()
	}
	if y.share.heavy.Load() && !y.slot.mayContinue(y.share.long.Load()) {
		return ErrPreempted
	}
	return nil
}

// Ended reports whether the context of the run has ended.
func (y *Yielder) Ended() bool { return y.ended.Load() }

// Context returns the context of the run.
func (y *Yielder) Context() context.Context { return y.ctx }

// Acquire waits for a CPU slot: see CPUShare.
func (y *Yielder) Acquire() { y.share.Acquire(y.ctx) }

// Release releases the CPU slot.
func (y *Yielder) Release() { y.share.Release() }
