package query

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// abandonAfter is how long a query may go on after its context ended before
// its client gets an answer without it.
const abandonAfter = 50 * time.Millisecond

// run is one prepared query.
type run struct {
	promql.Query
	src       *witness
	timeout   time.Duration
	abandoned bool
}

// Exec runs the query. Its result is valid until Close.
//
// The engine looks at its context between steps and series, but not while it
// walks the steps of one series of a subquery, which can take minutes. A query
// that does not end with its context is abandoned: the client is answered, and
// the query keeps its place among those that run until it has noticed.
func (r *run) Exec(ctx context.Context) *promql.Result {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, toRun{}, true), r.timeout)
	defer cancel()
	ended, abandoned := make(chan outcome), make(chan struct{})
	go func() {
		o := r.exec(ctx)
		select {
		case ended <- o:
		case <-abandoned:
			r.Query.Close()
		}
	}()
	select {
	case o := <-ended:
		return o.result(r.src)
	case <-ctx.Done():
	}
	select {
	case o := <-ended:
		return o.result(r.src)
	case <-time.After(abandonAfter):
		r.abandoned = true
		close(abandoned)
		return &promql.Result{Err: contextError(ctx.Err(), inExecution)}
	}
}

// CachedSteps returns how many steps of a query that an Engine made, and that was
// executed, came from the cache.
func CachedSteps(q promql.Query) int {
	if r, ok := q.(*run); ok && !r.abandoned {
		return r.Query.(*planned).fromCache
	}
	return 0
}

// Close frees the result.
func (r *run) Close() {
	if !r.abandoned {
		r.Query.Close()
	}
}

// outcome is how an execution ended: with a result or a panic.
type outcome struct {
	res      *promql.Result
	panicked any
	stack    []byte
}

func (r *run) exec(ctx context.Context) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = outcome{panicked: p, stack: debug.Stack()}
		}
	}()
	return outcome{res: r.Query.Exec(ctx)}
}

// result returns the result with the warnings that came up late, or goes on
// with the panic.
func (o outcome) result(src *witness) *promql.Result {
	if o.panicked != nil {
		panic(fmt.Sprintf("%v\n%s", o.panicked, o.stack))
	}
	o.res.Err = clipped(classify(o.res.Err))
	o.res.Warnings.Merge(src.lateWarnings())
	return o.res
}
