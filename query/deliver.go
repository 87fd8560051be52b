package query

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// Delivery is the encoding and sending of a query's answer, which counts as its
// work: a big answer takes as long to encode as to compute. It is used by one
// goroutine; the zero value does nothing.
type Delivery struct {
	ctx     context.Context
	query   *planned
	began   time.Time
	working bool
}

// Deliver begins the delivery of the answer of a query that an Engine made. It
// ends with End, before the query is closed.
func Deliver(ctx context.Context, q promql.Query) *Delivery {
	r, ok := q.(*run)
	if !ok {
		return &Delivery{}
	}
	return &Delivery{ctx: ctx, query: r.Query.(*planned), began: time.Now()}
}

// Work waits until the query may have a core. Who has sent a part of an answer
// calls it before the next; one that fits into a single part does not need it.
// The error is that of the context.
func (d *Delivery) Work() error {
	if d.query == nil || d.working {
		return nil
	}
	d.query.share.begin(d.ctx)
	d.working = true
	return d.ctx.Err()
}

// Rest gives the core back, before a part is sent: that can take any time.
func (d *Delivery) Rest() {
	if d.working {
		d.query.share.end()
		d.working = false
	}
}

// End ends the delivery.
func (d *Delivery) End() {
	d.Rest()
	if d.query != nil {
		d.query.engine.metrics.stages.WithLabelValues(stageDeliver).Observe(time.Since(d.began).Seconds())
	}
}
