package query

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql"

	"tsdb/storage"
)

// ErrOverloaded is returned when as many queries wait as may. Trying again
// later can help.
var ErrOverloaded = errors.New("too many queries are waiting already, try again later")

// errHeavy ends a query that has turned out heavy, finds no place among the heavy
// ones and is in the way of light ones. It begins anew when there is one.
var errHeavy = errors.New("every place of a heavy query is taken")

// errIndivisible ends the evaluation of a part of a grid that raises a warning or
// an error, which may depend on other steps: the query is evaluated again as a
// whole.
var errIndivisible = errors.New("the answer cannot be joined from parts")

// The part of the error text of an ended query that says where it ended, in
// the words Prometheus uses.
const (
	inQueue      = "query queue"
	inExecution  = "query execution"
	inEvaluation = "expression evaluation"
)

// classify gives a context's errors that came up inside the storage the types
// that the engine gives to those it notices itself: to a client it makes no
// difference who looked at the clock.
func classify(err error) error {
	if err == nil || isPromQL(err) {
		return err
	}
	return contextError(err, inExecution)
}

func contextError(err error, where string) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return promql.ErrQueryTimeout(where)
	case errors.Is(err, context.Canceled):
		return promql.ErrQueryCanceled(where)
	}
	return err
}

func isPromQL(err error) bool {
	var timeout promql.ErrQueryTimeout
	var canceled promql.ErrQueryCanceled
	return errors.As(err, &timeout) || errors.As(err, &canceled)
}

// storageError marks an error as the storage's fault, not the query's. Those of
// a context or a limit, and those that say that the database is not there, stay
// what they are.
func storageError(err error) error {
	var over *LimitError
	if errors.As(err, &over) {
		return err
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, errHeavy, storage.ErrBusy, storage.ErrClosed} {
		if err == nil || errors.Is(err, known) {
			return err
		}
	}
	return promql.ErrStorage{Err: err}
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

// clipped returns err with a text of at most maxErrorText bytes.
func clipped(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) <= maxErrorText {
		return err
	}
	return &clippedError{err, clippedText(text)}
}

// clippedText returns the beginning of a text that is too long for an error, as
// whole characters.
func clippedText(text string) string {
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
