package query

import (
	"context"
	"sync/atomic"
)

// yielder lets the work of one run of a query give its CPU slot to others, move to
// a heavy slot, or end. It is safe for concurrent use by goroutines that hold a
// CPU slot.
type yielder struct {
	ctx   context.Context // of the run
	ended atomic.Bool     // ctx is over; cheaper to load than ctx.Err
	share *share
	place *place
	stop  func() bool
}

// newYielder returns a yielder for a run that holds a slot of the queue. The
// caller closes it.
func newYielder(ctx context.Context, s *share, p *place) *yielder {
	y := &yielder{ctx: ctx, share: s, place: p}
	y.stop = context.AfterFunc(ctx, func() { y.ended.Store(true) })
	return y
}

func (y *yielder) close() { y.stop() }

// yield gives the CPU slot to other queries if it is their turn, and waits until
// this one has a slot again. The error is that of the context, or errHeavy once
// the query must release all it holds and start again; it then stays errHeavy.
// The caller holds no lock.
func (y *yielder) yield() error {
	y.share.giveWay(y.ctx)
	if y.ended.Load() {
		return y.ctx.Err()
	}
	if y.share.heavy.Load() && !y.place.goesOn(y.share.long.Load()) {
		return errHeavy
	}
	return nil
}

// isEnded reports whether the context of the run is over.
func (y *yielder) isEnded() bool { return y.ended.Load() }

// context returns the context of the run.
func (y *yielder) context() context.Context { return y.ctx }

// acquire waits for a CPU slot: see cpuShare.
func (y *yielder) acquire() { y.share.begin(y.ctx) }

// release releases the CPU slot.
func (y *yielder) release() { y.share.end() }
