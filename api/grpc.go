package api

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

// RPC is the gRPC server. It serves health and reflection.
type RPC struct {
	server *grpc.Server
	health *health.Server
}

// NewRPC returns a gRPC server that says NOT_SERVING until SetServing.
func NewRPC(reg prometheus.Registerer, log *slog.Logger) (*RPC, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tsdb_grpc_requests_total", Help: "gRPC requests answered, by method and code.",
	}, []string{"method", "code"})
	if err := reg.Register(requests); err != nil {
		return nil, err
	}
	recovered := func(method string, err *error) {
		if p := recover(); p != nil {
			log.Error("gRPC request panicked", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			*err = status.Error(codes.Internal, "internal error: the request met a bug, which the server's log describes")
		}
		requests.WithLabelValues(method, status.Code(*err).String()).Inc()
	}
	r := &RPC{
		health: health.NewServer(),
		server: grpc.NewServer(
			// Clients ping every 10 s in their defaults; grpc-go's own limit
			// of 5 minutes would send them away.
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
			grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
				defer recovered(info.FullMethod, &err)
				return next(ctx, req)
			}),
			grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
				defer recovered(info.FullMethod, &err)
				return next(srv, stream)
			}),
		),
	}
	healthpb.RegisterHealthServer(r.server, r.health)
	reflection.Register(r.server)
	r.SetServing(false)
	return r, nil
}

// SetServing says whether the server as a whole, and each service by its name,
// is ready.
func (r *RPC) SetServing(ok bool) {
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if ok {
		state = healthpb.HealthCheckResponse_SERVING
	}
	r.health.SetServingStatus("", state)
	for name := range r.server.GetServiceInfo() {
		r.health.SetServingStatus(name, state)
	}
}

// Serve answers requests that come in at l until Shutdown. It closes l.
func (r *RPC) Serve(l net.Listener) error { return r.server.Serve(l) }

// Shutdown stops taking requests and returns when those under way are
// finished, or when ctx ends; these are then cut off.
func (r *RPC) Shutdown(ctx context.Context) {
	r.health.Shutdown() // tells those who watch, which ends no stream of theirs
	done := make(chan struct{})
	go func() {
		r.server.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		r.server.Stop()
		<-done
	}
}
