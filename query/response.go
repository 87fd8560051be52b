package query

import (
	"context"
	"time"
)

// ResponseEncoding is the encoding and sending of a query's answer. It counts as
// work of the query, because a big answer takes as long to encode as to compute. It
// is not safe for concurrent use; the zero value does nothing.
type ResponseEncoding struct {
	ctx     context.Context
	query   *Query
	began   time.Time
	working bool
}

// EncodeResponse begins encoding the answer. The caller ends it before closing the
// query.
func (p *Query) EncodeResponse(ctx context.Context) *ResponseEncoding {
	return &ResponseEncoding{ctx: ctx, query: p, began: time.Now()}
}

// Resume waits until the query has a CPU slot. It is called before each part of an
// answer except the first is encoded. It returns the error of the context.
func (d *ResponseEncoding) Resume() error {
	if d.query == nil || d.working {
		return nil
	}
	d.query.share.Acquire(d.ctx)
	d.working = true
	return d.ctx.Err()
}

// Pause releases the CPU slot. It is called before a part is sent, which can block
// indefinitely.
func (d *ResponseEncoding) Pause() {
	if d.working {
		d.query.share.Release()
		d.working = false
	}
}

// End ends the encoding.
func (d *ResponseEncoding) End() {
	d.Pause()
	if d.query != nil {
		d.query.engine.metrics.stages.WithLabelValues(stageDeliver).Observe(time.Since(d.began).Seconds())
	}
}
