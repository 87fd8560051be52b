package admission

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql"
)

// ErrOverloaded is returned when as many queries wait as may. Trying again
// later can help.
var ErrOverloaded = errors.New("too many queries are waiting already, try again later")

// ErrPreempted ends a query that has turned out heavy, finds no place among the heavy
// ones and is in the way of light ones. It begins anew when there is one.
var ErrPreempted = errors.New("every place of a heavy query is taken")

// The part of the error text of an ended query that says where it ended, in
// the words Prometheus uses.
const (
	inQueue      = "query queue"
	InExecution  = "query execution"
	InEvaluation = "expression evaluation"
)

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

// clippedError is an error whose own text is too long.
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

// clipText returns the beginning of a text that is too long for an error, as
// whole characters.
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
