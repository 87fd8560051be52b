package prom

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/prometheus/promql"

	"tsdb/api/reqbody"
	"tsdb/query"
	"tsdb/storage"
)

// statusClientClosed answers a client that has gone; nginx made the code up.
const statusClientClosed = 499

// retryAfterSeconds is what a client is told to wait before it asks a server
// again that is starting or overloaded.
const retryAfterSeconds = 1

// apiError is an error with the type and status code that clients know.
type apiError struct {
	kind              string
	code              int
	err               error
	retryAfterSeconds int // 0 = no advice
}

func badData(err error) *apiError {
	return &apiError{kind: "bad_data", code: http.StatusBadRequest, err: err}
}

func badParam(name string, err error) *apiError {
	return badData(fmt.Errorf("invalid parameter %q: %w", name, err))
}

func internal(err error) *apiError {
	return &apiError{kind: "internal", code: http.StatusInternalServerError, err: err}
}

func unavailable(err error) *apiError {
	return &apiError{kind: "unavailable", code: http.StatusServiceUnavailable, err: err, retryAfterSeconds: retryAfterSeconds}
}

// classify gives an error of a query or a read its type; what nothing is known
// about is the query's own fault.
func classify(err error) *apiError {
	var (
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		store    promql.ErrStorage
	)
	switch {
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return &apiError{kind: "canceled", code: statusClientClosed, err: err}
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		return &apiError{kind: "timeout", code: http.StatusServiceUnavailable, err: err}
	case isUnavailable(err):
		return unavailable(err)
	case errors.As(err, &store):
		return internal(err)
	}
	return &apiError{kind: "execution", code: http.StatusUnprocessableEntity, err: err}
}

// isUnavailable reports whether waiting, or a restart, helps.
func isUnavailable(err error) bool {
	return errors.Is(err, query.ErrOverloaded) || errors.Is(err, storage.ErrBusy) ||
		errors.Is(err, storage.ErrClosed) || errors.Is(err, storage.ErrPoisoned) ||
		errors.Is(err, reqbody.ErrOverload) || errors.Is(err, reqbody.ErrYielded)
}

// bodyStatus returns the status code for a request whose body, or what it
// holds, is the matter.
func bodyStatus(err error) int {
	switch {
	case isUnavailable(err):
		return http.StatusServiceUnavailable
	case errors.Is(err, reqbody.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, reqbody.ErrTooSlow):
		return http.StatusRequestTimeout
	case errors.Is(err, context.Canceled):
		return statusClientClosed
	}
	return http.StatusBadRequest
}

// classifyWork gives an error of work on the database its type: what nothing
// is known about is the server's fault.
func classifyWork(err error) *apiError {
	if e := classify(err); e.kind != "execution" {
		return e
	}
	return internal(err)
}
