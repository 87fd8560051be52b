package rpc

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/promql"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"tsdb/api/limiter"
	"tsdb/api/querylog"
	"tsdb/query"
	"tsdb/storage"
)

// retryAfter is the delay after which clients should retry temporary errors.
const retryAfter = time.Second

// invalid returns the status of a request that is wrong, unless it is that there is
// no memory to look at it.
func invalid(err error) error {
	var over *query.LimitError
	if errors.As(err, &over) && over.Limit == query.LimitTotalBytes {
		return statusOf(err, true)
	}
	return status.Error(codes.InvalidArgument, err.Error())
}

// statusOf returns err with its gRPC status code. An unclassified error is
// attributed to the expression if a query returned it, and to the server
// otherwise.
func statusOf(err error, inQuery bool) error {
	var (
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		tooMany  promql.ErrTooManySamples
		limit    *query.LimitError
		store    promql.ErrStorage
	)
	code := codes.Internal
	switch {
	case err == nil:
		return nil
	case status.Code(err) != codes.Unknown: // err has a code already
		return err
	case errors.As(err, &canceled), errors.Is(err, context.Canceled), errors.Is(err, querylog.ErrCancelled):
		code = codes.Canceled
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, query.ErrOverloaded), errors.Is(err, limiter.ErrFull):
		return retry(codes.ResourceExhausted, err)
	case errors.Is(err, storage.ErrBusy), errors.Is(err, storage.ErrClosed), errors.Is(err, storage.ErrPoisoned):
		return retry(codes.Unavailable, err)
	case errors.As(err, &tooMany), errors.As(err, &limit):
		code = codes.ResourceExhausted
	case errors.As(err, &store):
	case inQuery:
		code = codes.FailedPrecondition
	}
	return status.Error(code, err.Error())
}

// retry returns err with the code and the delay after which to retry.
func retry(code codes.Code, err error) error {
	s := status.New(code, err.Error())
	if detailed, bad := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)}); bad == nil {
		s = detailed
	}
	return s.Err()
}
