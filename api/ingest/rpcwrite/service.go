package rpcwrite

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/rpcstatus"
	"tsdb/api/reqbody"
	"tsdb/internal/panics"
	tsdbv1 "tsdb/proto/tsdb/v1"
)

// Server is the gRPC server on which the service is registered.
type Server interface {
	grpc.ServiceRegistrar
	// Stopping returns a channel that is closed when the server is about to
	// stop. Streams have no end of their own; they end then.
	Stopping() <-chan struct{}
}

// DoorName is the name of the door in metrics.
const DoorName = "grpc"

// Service implements tsdb.v1.Write. It is safe for concurrent use.
type Service struct {
	tsdbv1.UnimplementedWriteServer
	shared   *door.Shared
	door     *door.Door[*decoder]
	stopping <-chan struct{}
}

// New returns a service, to be registered once.
func New(s *door.Shared) *Service {
	return &Service{shared: s, door: door.New(s, DoorName, door.RPC, func() *decoder { return new(decoder) })}
}

// Register registers the service.
func (s *Service) Register(r Server) {
	s.stopping = r.Stopping()
	tsdbv1.RegisterWriteServer(r, s)
}

// errStopping ends the streams when the server stops.
var errStopping = errors.New("the server is stopping")

// Write stores the requests of a stream one after the other. While one is being
// stored the next is received, so a stream holds at most two.
func (s *Service) Write(stream grpc.BidiStreamingServer[tsdbv1.WriteRequest, tsdbv1.WriteResponse]) error {
	err := s.write(stream)
	if status.Code(err) == codes.Unknown && !errors.Is(err, errStopping) { // not gRPC's own
		s.shared.RefusedRequest(DoorName, err)
	}
	return s.status(err)
}

func (s *Service) write(stream grpc.BidiStreamingServer[tsdbv1.WriteRequest, tsdbv1.WriteResponse]) error {
	q, err := s.door.Acquire()
	if err != nil {
		return err
	}
	defer q.Release()
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
			answer, err := s.take(stream.Context(), q, m, sequence)
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
func (s *Service) take(ctx context.Context, q *door.Request[*decoder], m *reqbody.Message, last uint64) (*tsdbv1.WriteResponse, error) {
	defer m.Free()
	cost, err := costOf(m.Bytes())
	if err != nil {
		return nil, err
	}
	if limit := s.shared.Budget.Limit() / 2; cost > limit {
		return nil, &door.RequestError{Text: fmt.Sprintf("request of %d bytes takes %d once decoded, the limit is %d, half of what all requests under way may take", len(m.Bytes()), cost, limit)}
	}
	charge := s.shared.Budget.NewCharge()
	defer charge.Release()
	if err := charge.Take(ctx, cost); err != nil {
		return nil, err
	}
	r := &tsdbv1.WriteRequest{}
	if err := proto.Unmarshal(m.Bytes(), r); err != nil {
		return nil, &door.RequestError{Text: "decode WriteRequest: " + err.Error(), Err: err}
	}
	if r.Sequence <= last {
		return nil, &door.RequestError{Text: fmt.Sprintf("sequence number is %d, want one greater than %d", r.Sequence, last)}
	}
	return store(ctx, q, r)
}

// store stores a request and returns its answer.
func store(ctx context.Context, q *door.Request[*decoder], r *tsdbv1.WriteRequest) (*tsdbv1.WriteResponse, error) {
	q.Decoder.request = r
	receipt, err := q.Store(ctx)
	q.Decoder.request = nil
	if err != nil {
		return nil, err
	}
	answer := &tsdbv1.WriteResponse{
		Sequence: r.Sequence, Floats: uint64(receipt.Floats), Histograms: uint64(receipt.Histograms), Exemplars: uint64(receipt.Exemplars),
	}
	for _, x := range receipt.Rejected {
		answer.Rejected = append(answer.Rejected, &tsdbv1.Rejection{Reason: string(x.Reason), Count: uint64(x.Count), Example: door.Describe(x)})
	}
	return answer, nil
}

// status returns the gRPC status for the error that ended a stream.
func (s *Service) status(err error) error {
	if errors.Is(err, errStopping) {
		return rpcstatus.Unavailable(err)
	}
	return rpcstatus.Of(s.shared, err)
}
