package admission

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql"
)

// ErrOverloaded is returned when the queue of waiting queries is full. A later retry
// may succeed.
var ErrOverloaded = errors.New("too many queries are waiting already, try again later")

// ErrPreempted is returned when a heavy query must release its light slot to a
// waiting light query. The query restarts when a heavy slot is free.
var ErrPreempted = errors.New("all slots of heavy queries are in use")

// The stages at which a query can end, as worded in Prometheus' error texts.
const (
	inQueue      = "query queue"
	InExecution  = "query execution"
	InEvaluation = "expression evaluation"
)

// ContextError converts a context error to Prometheus' timeout or cancellation
// error, which names the stage where the query ended. It returns other errors
// unchanged.
func ContextError(err error, where string) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return promql.ErrQueryTimeout(where)
	case errors.Is(err, context.Canceled):
		return promql.ErrQueryCanceled(where)
	}
	return err
}

// maxErrorText bounds the text of a query's error, which can quote the query and
// labels.
const maxErrorText = 4 << 10

// clippedError is an error with a clipped text.
type clippedError struct {
	error
	text string
}

func (e *clippedError) Error() string { return e.text }
func (e *clippedError) Unwrap() error { return e.error }

// ClipError returns err with a text of at most maxErrorText bytes.
func ClipError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) <= maxErrorText {
		return err
	}
	return &clippedError{err, clipText(text)}
}

// clipText returns text clipped to maxErrorText bytes at a rune boundary.
func clipText(text string) string {
	const ellipsis = "…"
	if len(text) <= maxErrorText {
		return text
	}
	n := maxErrorText - len(ellipsis)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(text[:n]) + ellipsis
}
