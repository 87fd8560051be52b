package prom

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/prometheus/promql"

	"tsdb/api/querylog"
	"tsdb/api/reqbody"
	"tsdb/query"
	"tsdb/storage"
)

// statusClientClosed is nginx' status code for a client that has disconnected.
const statusClientClosed = 499

// retryAfterSeconds is the Retry-After header of a server that is starting or
// overloaded.
const retryAfterSeconds = 1

// apiError is an error with the type and status code that clients know.
type apiError struct {
	kind              string
	code              int
	err               error
	retryAfterSeconds int // 0 = no Retry-After header
}

// badData returns the error of an invalid request. An error about missing memory for
// parsing the request keeps its own type and status.
func badData(err error) *apiError {
	if lacksMemory(err) {
		return classify(err)
	}
	return &apiError{kind: "bad_data", code: http.StatusBadRequest, err: err}
}

func badParam(name string, err error) *apiError {
	if lacksMemory(err) {
		return classify(err)
	}
	return badData(fmt.Errorf("invalid parameter %q: %w", name, err))
}

// lacksMemory reports whether an error is about the memory limit of all queries, which
// includes memory for parsing.
func lacksMemory(err error) bool {
	var over *query.LimitError
	return errors.As(err, &over) && over.Limit == query.LimitTotalBytes
}

// exceedsLimit reports whether an error is about a limit exceeded by a request.
func exceedsLimit(err error) bool {
	var over *query.LimitError
	return errors.As(err, &over)
}

func internal(err error) *apiError {
	return &apiError{kind: "internal", code: http.StatusInternalServerError, err: err}
}

func notFound(err error) *apiError {
	return &apiError{kind: "not_found", code: http.StatusNotFound, err: err}
}

func unavailable(err error) *apiError {
	return &apiError{kind: "unavailable", code: http.StatusServiceUnavailable, err: err, retryAfterSeconds: retryAfterSeconds}
}

// classify returns an error of a query or a read with its type and status code.
// Unclassified errors are attributed to the query.
func classify(err error) *apiError {
	var (
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		store    promql.ErrStorage
	)
	switch {
	case errors.As(err, &canceled), errors.Is(err, context.Canceled), errors.Is(err, querylog.ErrCancelled):
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

// isUnavailable reports whether the request can succeed later or after a restart.
func isUnavailable(err error) bool {
	return errors.Is(err, query.ErrOverloaded) || errors.Is(err, storage.ErrBusy) ||
		errors.Is(err, storage.ErrClosed) || errors.Is(err, storage.ErrPoisoned) ||
		errors.Is(err, reqbody.ErrOverload) || errors.Is(err, reqbody.ErrYielded)
}

// bodyStatus returns the status code for an error in the body of a request.
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

// classifyWork returns an error of the database with its type and status code.
// Unclassified errors are internal.
func classifyWork(err error) *apiError {
	if e := classify(err); e.kind != "execution" || exceedsLimit(err) {
		return e
	}
	return internal(err)
}
