package door

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"tsdb/api/reqbody"
	"tsdb/storage"
)

// A RequestError reports a request that is refused as a whole for its contents: it
// cannot be decompressed or decoded, or exceeds a limit.
type RequestError struct {
	Text string
	Err  error // the cause, if there is one
}

func (e *RequestError) Error() string { return e.Text }
func (e *RequestError) Unwrap() error { return e.Err }

// Malformed returns the error of a protobuf message that cannot be decoded; at is
// the position in the decompressed body.
func Malformed(message string, at int) error {
	return &RequestError{Text: fmt.Sprintf("decode %s: malformed protobuf at byte %d", message, at)}
}

// corrupt returns the error of a body that cannot be decompressed.
func corrupt(encoding string, err error) error {
	return &RequestError{Text: fmt.Sprintf("decompress %s body: %v", encoding, err), Err: err}
}

// RetryAfter is the Retry-After header of a 503, in seconds. The cause usually
// passes within one.
const RetryAfter = "1"

// Retryable reports whether the same request may succeed when sent again.
func Retryable(err error) bool {
	for _, e := range [...]error{storage.ErrBusy, storage.ErrPoisoned, storage.ErrStaleRef, storage.ErrClosed, reqbody.ErrOverload, reqbody.ErrYielded, reqbody.ErrTooSlow, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Status returns the HTTP status for a request that failed as a whole. It logs
// unexpected errors; the database logs its own.
func (s *Shared) Status(err error) int {
	var request *RequestError
	switch {
	case errors.Is(err, reqbody.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case Retryable(err):
		return http.StatusServiceUnavailable
	case errors.As(err, &request), errors.Is(err, reqbody.ErrRead):
		return http.StatusBadRequest
	}
	s.Logger.Error("write failed", "err", err)
	return http.StatusInternalServerError
}
