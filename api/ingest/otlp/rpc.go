package otlp

import (
	"context"

	"google.golang.org/grpc"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/rpcstatus"
	"tsdb/api/reqbody"
)

// The gRPC service of OTLP metrics, and its method.
const (
	rpcService = "opentelemetry.proto.collector.metrics.v1.MetricsService"
	rpcMethod  = "Export"
)

// exporter is what the gRPC server calls.
type exporter interface {
	export(ctx context.Context, m *reqbody.Message) (reqbody.Encoded, error)
}

// RegisterRPC registers the gRPC service. Its messages are received as they come and
// decoded by hand, so there is no generated code.
func (h *Handler) RegisterRPC(s grpc.ServiceRegistrar) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: rpcService,
		HandlerType: (*exporter)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: rpcMethod, Handler: serveRPC}},
		Metadata:    "opentelemetry/proto/collector/metrics/v1/metrics_service.proto",
	}, h)
}

// serveRPC serves a call of Export.
func serveRPC(service any, ctx context.Context, receive func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	serve := func(ctx context.Context, _ any) (any, error) {
		m := &reqbody.Message{}
		defer m.Free()
		if err := receive(m); err != nil {
			return nil, err
		}
		return service.(exporter).export(ctx, m)
	}
	if intercept == nil {
		return serve(ctx, nil)
	}
	return intercept(ctx, nil, &grpc.UnaryServerInfo{Server: service, FullMethod: "/" + rpcService + "/" + rpcMethod}, serve)
}

// export stores a request and returns its answer. Errors have the codes by which clients
// decide whether to send it again.
func (h *Handler) export(ctx context.Context, m *reqbody.Message) (reqbody.Encoded, error) {
	o, err := h.storeMessage(ctx, m.Bytes())
	if err != nil {
		h.shared.RefusedRequest(DoorName, err)
		return nil, rpcstatus.Of(h.shared, err)
	}
	return appendResponse(reqbody.Encoded{}, o), nil
}

func (h *Handler) storeMessage(ctx context.Context, src []byte) (o outcome, err error) {
	q, err := h.acquire()
	if err != nil {
		return o, err
	}
	defer q.Release()
	charge := h.shared.Budget.NewCharge()
	defer charge.Release()
	paid := int64(len(src)) * door.DecodedCost
	if err := charge.Take(ctx, int64(len(src))+paid); err != nil {
		return o, err
	}
	return store(ctx, q, src, paid, charge)
}
