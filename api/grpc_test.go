package api

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

func TestGRPCTellsHealthAndItself(t *testing.T) {
	r, err := NewRPC(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client := healthpb.NewHealthClient(conn)
	check := func(service string, want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || got.Status != want {
			t.Errorf("health of %q: %v, %v, want %v", service, got, err, want)
		}
	}
	check("", healthpb.HealthCheckResponse_NOT_SERVING)
	r.SetServing(true)
	check("", healthpb.HealthCheckResponse_SERVING)
	check("grpc.health.v1.Health", healthpb.HealthCheckResponse_SERVING)
	for _, name := range []string{"gzip", "zstd", "zstd"} {
		if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.UseCompressor(name)); err != nil {
			t.Errorf("compressed with %s: %v", name, err)
		}
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: strings.Repeat("x", maxRPCMessageBytes)}, grpc.UseCompressor("zstd")); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of more than %d bytes: %v", maxRPCMessageBytes, err)
	}
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("health of an unknown service: %v", err)
	}

	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil || len(answer.GetListServicesResponse().GetService()) < 2 {
		t.Errorf("services: %v, %v", answer, err)
	}
	// Messages that cannot be decoded are the client's fault.
	list := bytes.Repeat([]byte{0x0a, 0}, 10_001)
	err = conn.Invoke(t.Context(), "/grpc.health.v1.Health/Check", &list, new([]byte), grpc.ForceCodecV2(rawCodec{}))
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "more than 10000 fields") {
		t.Errorf("a unary request of many fields: %v", err)
	}
	for name, message := range map[string][]byte{"many fields": list, "no protobuf": {0xff}} {
		raw, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/grpc.health.v1.Health/Watch", grpc.ForceCodecV2(rawCodec{}))
		if err == nil {
			_ = raw.SendMsg(&message)
			_ = raw.CloseSend()
			err = raw.RecvMsg(new([]byte))
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("a stream's request, %s: %v", name, err)
		}
	}

	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}

	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	r.Shutdown(t.Context())
	if err := <-done; err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// rawCodec sends and receives bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
