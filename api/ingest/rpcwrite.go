package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"tsdb/api/reqbody"
	"tsdb/internal/panics"
	tsdbv1 "tsdb/proto/tsdb/v1"
)

// RPCServer is the gRPC server on which the door is registered.
type RPCServer interface {
	grpc.ServiceRegistrar
	// Stopping returns a channel that is closed when the server is about to
	// stop. Streams have no end of their own; they end then.
	Stopping() <-chan struct{}
}

// RegisterRPC registers the service tsdb.v1.Write.
func (in *Ingest) RegisterRPC(s RPCServer) {
	tsdbv1.RegisterWriteServer(s, &writeService{in: in, stopping: s.Stopping()})
}

// writeService implements the gRPC door.
type writeService struct {
	tsdbv1.UnimplementedWriteServer
	in       *Ingest
	stopping <-chan struct{}
}

// errStopping ends the streams when the server stops.
var errStopping = errors.New("the server is stopping")

// Write stores the requests of a stream one after the other. While one is being
// stored the next is received, so a stream holds at most two.
func (s *writeService) Write(stream grpc.BidiStreamingServer[tsdbv1.WriteRequest, tsdbv1.WriteResponse]) error {
	return s.in.rpcStatus(s.write(stream))
}

func (s *writeService) write(stream grpc.BidiStreamingServer[tsdbv1.WriteRequest, tsdbv1.WriteResponse]) error {
	b, err := s.in.newBatch(doorRPC)
	if err != nil {
		return err
	}
	d := newRPCDecoder(aliasSeed(s.in.seed, protocolRPC, s.in.opts.Generation), s.in.opts.Limits)
	requests, received := make(chan *reqbody.Message), make(chan error, 1)
	go func() { received <- receive(stream, requests) }()
	for sequence := uint64(0); ; {
		select {
		case <-s.stopping:
			return errStopping
		case err := <-received:
			var p *panics.Error
			if errors.As(err, &p) {
				panic(fmt.Sprintf("%v\n%s", p.Value, p.Stack)) // recovered and counted by the server
			}
			return err
		case m := <-requests:
			answer, err := s.take(stream.Context(), b, d, m, sequence)
			if err != nil {
				return err
			}
			sequence = answer.Sequence
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
	}
}

// receive sends the requests of a stream to a channel. It returns nil when the
// client closes its side.
func receive(stream grpc.BidiStreamingServer[tsdbv1.WriteRequest, tsdbv1.WriteResponse], to chan<- *reqbody.Message) (err error) {
	defer panics.Catch(&err)
	for {
		m := &reqbody.Message{}
		err := stream.RecvMsg(m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case to <- m:
		case <-stream.Context().Done():
			m.Free()
			return stream.Context().Err()
		}
	}
}

// take charges the cost of a message, decodes and stores it. last is the previous
// sequence number.
func (s *writeService) take(ctx context.Context, b batch, d *rpcDecoder, m *reqbody.Message, last uint64) (*tsdbv1.WriteResponse, error) {
	defer m.Free()
	cost, err := rpcCost(m.Bytes())
	if err != nil {
		return nil, err
	}
	if limit := s.in.budget.Limit() / 2; cost > limit {
		return nil, &requestError{fmt.Sprintf("request of %d bytes takes %d once decoded, the limit is %d, half of what all requests under way may take", len(m.Bytes()), cost, limit)}
	}
	charge := s.in.budget.NewCharge()
	defer charge.Release()
	if err := charge.Take(ctx, cost); err != nil {
		return nil, err
	}
	r := &tsdbv1.WriteRequest{}
	if err := proto.Unmarshal(m.Bytes(), r); err != nil {
		return nil, &requestError{"decode WriteRequest: " + err.Error()}
	}
	if r.Sequence <= last {
		return nil, &requestError{fmt.Sprintf("sequence number is %d, want one greater than %d", r.Sequence, last)}
	}
	return s.store(ctx, b, d, r)
}

func (s *writeService) store(ctx context.Context, b batch, d *rpcDecoder, r *tsdbv1.WriteRequest) (*tsdbv1.WriteResponse, error) {
	d.request = r
	receipt, err := store(ctx, b, d)
	d.request = nil
	if err != nil {
		return nil, err
	}
	answer := &tsdbv1.WriteResponse{
		Sequence: r.Sequence, Floats: uint64(receipt.Floats), Histograms: uint64(receipt.Histograms), Exemplars: uint64(receipt.Exemplars),
	}
	for _, x := range receipt.Rejected {
		answer.Rejected = append(answer.Rejected, &tsdbv1.Rejection{Reason: string(x.Reason), Count: uint64(x.Count), Example: describe(x)})
	}
	return answer, nil
}

// rpcStatus returns the gRPC status for the error that ended a stream.
func (in *Ingest) rpcStatus(err error) error {
	var request *requestError
	switch {
	case err == nil:
		return nil
	case status.Code(err) != codes.Unknown: // gRPC's own
		return err
	case errors.As(err, &request):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case errors.Is(err, errStopping), retryable(err):
		return unavailableStatus(err)
	}
	in.opts.Logger.Error("write failed", "err", err)
	return status.Error(codes.Internal, err.Error())
}

// rpcRetryAfter is the retry delay sent with UNAVAILABLE. The cause usually passes
// within a second.
const rpcRetryAfter = time.Second

func unavailableStatus(err error) error {
	s := status.New(codes.Unavailable, err.Error())
	if detailed, bad := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(rpcRetryAfter)}); bad == nil {
		s = detailed
	}
	return s.Err()
}
