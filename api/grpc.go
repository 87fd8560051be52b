package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
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

	"tsdb/api/reqbody"
)

// Bounds of gRPC. A message is at most as long as in gRPC's own default.
const (
	maxRPCMessageBytes = 4 << 20
	maxRPCHeaderBytes  = 64 << 10
	// maxRPCStreams bounds the requests under way on a connection.
	maxRPCStreams = 100
	// rpcIdleTimeout ends a connection without requests; clients connect again
	// when they need it.
	rpcIdleTimeout = idleTimeout
	// rpcPingEvery and rpcPingTimeout detect connections whose client has
	// disconnected.
	rpcPingEvery   = time.Minute
	rpcPingTimeout = 20 * time.Second
	// rpcHandshakeTimeout bounds the time until a connection's first request.
	rpcHandshakeTimeout = readHeaderTimeout
	// rpcWindowBytes is the flow-control window of a stream and of a connection. gRPC's own window grows to
	// 16 MiB a stream.
	rpcWindowBytes     = 256 << 10
	rpcConnWindowBytes = 1 << 20
)

// RPC is the gRPC server. It serves health, reflection and the services that
// doors register.
type RPC struct {
	server   *grpc.Server
	health   *health.Server
	stopping chan struct{}
	stopOnce sync.Once
	maxConns int
	metered  *meteredCredentials
	refused  prometheus.Counter
}

// NewRPC returns a gRPC server with the TLS and authentication of a web
// configuration file; empty = none. Its health is NOT_SERVING until SetServing.
func NewRPC(reg prometheus.Registerer, log *slog.Logger, webConfigFile string, doors ...func(*RPC)) (*RPC, error) {
	m, err := newRPCMetrics(reg)
	if err != nil {
		return nil, err
	}
	refused, err := refusedCounter(reg)
	if err != nil {
		return nil, err
	}
	security, creds, err := newRPCSecurity(webConfigFile, log)
	if err != nil {
		return nil, err
	}
	metered := &meteredCredentials{creds, reqbody.NewBudget(reqbody.Options{Limit: reqbody.DefaultLimit, MinRate: reqbody.DefaultMinRate})}
	recovered := func(method string, begin time.Time, err *error) {
		if p := recover(); p != nil {
			m.panics.Inc()
			log.Error("gRPC request panicked", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			*err = status.Error(codes.Internal, "internal error: the request met a bug, which the server's log describes")
		}
		m.requests.WithLabelValues(method, status.Code(*err).String()).Inc()
		m.duration.WithLabelValues(method).Observe(time.Since(begin).Seconds())
	}
	r := &RPC{
		health:   health.NewServer(),
		stopping: make(chan struct{}),
		maxConns: DefaultMaxConnections,
		metered:  metered,
		refused:  refused.WithLabelValues("grpc"),
		server: grpc.NewServer(
			grpc.Creds(metered),
			grpc.MaxRecvMsgSize(maxRPCMessageBytes),
			grpc.MaxHeaderListSize(maxRPCHeaderBytes),
			grpc.MaxConcurrentStreams(maxRPCStreams),
			grpc.StaticStreamWindowSize(rpcWindowBytes),
			grpc.StaticConnWindowSize(rpcConnWindowBytes),
			grpc.ConnectionTimeout(rpcHandshakeTimeout),
			grpc.ForceServerCodecV2(reqbody.Codec()),
			grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: rpcIdleTimeout, Time: rpcPingEvery, Timeout: rpcPingTimeout}),
			// Clients ping every 10 s in their defaults; grpc-go's own limit
			// of 5 minutes would disconnect them.
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
			grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
				defer recovered(info.FullMethod, time.Now(), &err)
				if err := security.allow(ctx, info.FullMethod); err != nil {
					return nil, err
				}
				if err := reqbody.Refusal(req); err != nil {
					return nil, err
				}
				return next(ctx, req)
			}),
			grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
				defer recovered(info.FullMethod, time.Now(), &err)
				if err := security.allow(stream.Context(), info.FullMethod); err != nil {
					return err
				}
				return next(srv, refusingStream{stream})
			}),
		),
	}
	healthpb.RegisterHealthServer(r.server, r.health)
	for _, mount := range doors {
		mount(r)
	}
	reflection.Register(r.server)
	r.SetServing(false)
	return r, nil
}

// refusingStream reports messages that could not be decoded.
type refusingStream struct{ grpc.ServerStream }

func (s refusingStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return reqbody.Refusal(m)
}

// rpcMetrics counts requests by method of the registered services.
type rpcMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	panics   prometheus.Counter
}

func newRPCMetrics(reg prometheus.Registerer) (*rpcMetrics, error) {
	m := &rpcMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsdb_grpc_requests_total", Help: "gRPC requests answered, by method and code.",
		}, []string{"method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tsdb_grpc_request_duration_seconds", Help: "Time from the begin of a gRPC request to its end, by method.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"method"}),
	}
	var err error
	m.panics, err = panicCounter(reg)
	return m, errors.Join(err, reg.Register(m.requests), reg.Register(m.duration))
}

// RegisterService mounts a service. It is called before Serve.
func (r *RPC) RegisterService(d *grpc.ServiceDesc, service any) { r.server.RegisterService(d, service) }

// Stopping returns a channel that is closed when Shutdown begins, so that streams
// without an end of their own can end.
func (r *RPC) Stopping() <-chan struct{} { return r.stopping }

// SetServing sets the health of the server and of each service.
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

// Serve accepts connections on l until Shutdown. It closes l.
func (r *RPC) Serve(l net.Listener) error {
	return r.server.Serve(&limitListener{Listener: l, max: int64(r.maxConns), refused: r.refused})
}

// LimitConnections sets the maximum number of connections, which is otherwise
// DefaultMaxConnections. It is called before Serve.
func (r *RPC) LimitConnections(n int) { r.maxConns = n }

// ChargeTo sets the budget that unfinished messages are charged to. It is called
// before Serve.
func (r *RPC) ChargeTo(b *reqbody.Budget) { r.metered.budget = b }

// Shutdown stops accepting requests and waits for those in flight. If ctx ends
// first, it closes their connections.
func (r *RPC) Shutdown(ctx context.Context) {
	r.health.Shutdown() // watchers are told; their streams go on
	r.stopOnce.Do(func() { close(r.stopping) })
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
