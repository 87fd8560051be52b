package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"tsdb/api/prom/promtest"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the service with a database in memory that holds the samples of promtest.
type server struct {
	tsdbv1.QueryClient
	*querytest.Storage
}

// newServer starts a server. Unset options get working values.
func newServer(t testing.TB, o Options) *server {
	t.Helper()
	s := querytest.New(t, false)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := promtest.Load(s); err != nil {
		t.Fatal(err)
	}
	if o.DB == nil {
		o.DB = func() (*storage.DB, error) { return s.DB, nil }
	}
	if o.Engine == nil {
		o.Engine = query.New(query.Options{})
	}
	l := bufconn.Listen(1 << 16)
	srv := grpc.NewServer()
	New(o).Register(srv)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &server{tsdbv1.NewQueryClient(conn), s}
}

// all receives all messages of a stream and checks their sizes.
func all[M proto.Message](t testing.TB, stream interface{ Recv() (M, error) }, err error) ([]M, error) {
	t.Helper()
	if err != nil {
		return nil, err
	}
	var messages []M
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return messages, nil
		}
		if err != nil {
			return messages, err
		}
		if n := proto.Size(m); n > MaxMessageBytes {
			t.Errorf("message of %d bytes", n)
		}
		messages = append(messages, m)
	}
}

// labelSink is a stream that records the sent messages.
type labelSink struct {
	grpc.ServerStream
	sent *[]*tsdbv1.LabelsResponse
}

func (s labelSink) Send(m *tsdbv1.LabelsResponse) error {
	*s.sent = append(*s.sent, m)
	return nil
}
