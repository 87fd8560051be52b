package rpc

import (
	"context"
	"errors"
	"math"
	"net"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"tsdb/api/prom"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// admin implements tsdb.v1.Admin. It is safe for concurrent use.
type admin struct {
	tsdbv1.UnimplementedAdminServer
	*Service
}

// DeleteSeries deletes samples and exemplars.
func (s *admin) DeleteSeries(ctx context.Context, r *tsdbv1.DeleteSeriesRequest) (*tsdbv1.DeleteSeriesResponse, error) {
	if !s.opts.EnableAdmin && !fromLoopback(ctx) {
		return nil, status.Error(codes.PermissionDenied, "only clients on this machine may call Admin unless the server runs with --web.enable-admin-api")
	}
	sets, err := s.selectors(r.Selectors)
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return nil, invalid(errors.New("no selectors"))
	}
	tr := inclusive(orElse(r.StartMs, math.MinInt64), orElse(r.EndMs, math.MaxInt64))
	if tr.Empty() {
		return nil, invalid(errors.New("end_ms is before start_ms"))
	}
	db, err := s.opts.DB()
	if err != nil {
		return nil, statusOf(err, false)
	}
	e, err := db.DeleteSeries(ctx, storage.DeleteRequest{Tenant: model.DefaultTenant, Range: tr, Sets: sets, DryRun: r.DryRun, Purge: r.Purge})
	if errors.Is(err, storage.ErrDeleteTooLarge) {
		return nil, invalid(err)
	} else if err != nil {
		return nil, statusOf(err, false)
	}
	ans := &tsdbv1.DeleteSeriesResponse{Series: e.Series, Samples: e.Samples, Bytes: uint64(e.Bytes)}
	for _, t := range e.Tiers {
		ans.Tiers = append(ans.Tiers, &tsdbv1.DeletedTier{Tier: t.Tier, Series: t.Series, Rows: t.Rows, Bytes: uint64(t.Bytes)})
	}
	if e.Expired {
		ans.Warnings = append(ans.Warnings, prom.ErrExpiredDeleted.Error())
	}
	return ans, nil
}

// fromLoopback reports whether the client runs on this machine. A proxy on it says
// that it is one.
func fromLoopback(ctx context.Context) bool {
	md, _ := metadata.FromIncomingContext(ctx)
	p, ok := peer.FromContext(ctx)
	if !ok || len(md.Get("x-forwarded-for"))+len(md.Get("forwarded")) > 0 {
		return false
	}
	a, ok := p.Addr.(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}
