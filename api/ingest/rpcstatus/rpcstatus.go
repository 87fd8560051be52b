// Package rpcstatus gives the errors of doors the codes of gRPC.
package rpcstatus

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"tsdb/api/ingest/door"
)

// retryDelay is the delay that is sent with UNAVAILABLE. The cause usually passes
// within a second.
const retryDelay = time.Second

// Of returns the gRPC status of a request that failed as a whole, as door.Shared.Status
// does for HTTP. It logs unexpected errors; the database logs its own.
func Of(s *door.Shared, err error) error {
	var request *door.RequestError
	switch {
	case err == nil:
		return nil
	case status.Code(err) != codes.Unknown: // gRPC's own
		return err
	case errors.As(err, &request):
		return status.Error(codes.InvalidArgument, validText(err))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case door.Retryable(err):
		return Unavailable(err)
	}
	s.Logger.Error("write failed", "err", err)
	return status.Error(codes.Internal, validText(err))
}

// Unavailable returns the status of an error after which a client should send the same
// request again, with the delay.
func Unavailable(err error) error {
	s := status.New(codes.Unavailable, validText(err))
	if detailed, bad := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)}); bad == nil {
		s = detailed
	}
	return s.Err()
}

// validText returns the text of an error, which may quote the request, in UTF-8.
func validText(err error) string { return strings.ToValidUTF8(err.Error(), "\uFFFD") }
