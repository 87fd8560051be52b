package rpc

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"tsdb/api/prom/promtest"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/storage"
)

// Admin deletes for clients on this machine, others need --web.enable-admin-api; a
// proxy on this machine is not the client.
func TestDeleteSeries(t *testing.T) {
	s := querytest.New(t, false)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := promtest.Load(s); err != nil {
		t.Fatal(err)
	}
	options := Options{DB: func() (*storage.DB, error) { return s.DB, nil }, Engine: query.New(query.Options{})}
	closed := &admin{Service: New(options)}
	options.EnableAdmin = true
	open := &admin{Service: New(options)}
	from := func(ip string, md ...string) context.Context {
		ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(ip)}})
		return metadata.NewIncomingContext(ctx, metadata.Pairs(md...))
	}
	all := &tsdbv1.DeleteSeriesRequest{Selectors: []string{"http_requests_total", `{__name__="latency"}`}, DryRun: true}
	for _, c := range []struct {
		name string
		call *admin
		ctx  context.Context
		r    *tsdbv1.DeleteSeriesRequest
		code codes.Code
	}{
		{"loopback", closed, from("127.0.0.1"), all, codes.OK},
		{"IPv6", closed, from("::1"), all, codes.OK},
		{"another machine", closed, from("192.0.2.1"), all, codes.PermissionDenied},
		{"through a proxy", closed, from("127.0.0.1", "x-forwarded-for", "192.0.2.1"), all, codes.PermissionDenied},
		{"no peer", closed, context.Background(), all, codes.PermissionDenied},
		{"opened", open, from("192.0.2.1"), all, codes.OK},
		{"no selectors", open, from("::1"), &tsdbv1.DeleteSeriesRequest{}, codes.InvalidArgument},
		{"no times", open, from("::1"), &tsdbv1.DeleteSeriesRequest{Selectors: all.Selectors, StartMs: proto.Int64(10), EndMs: proto.Int64(9)}, codes.InvalidArgument},
		{"a bad selector", open, from("::1"), &tsdbv1.DeleteSeriesRequest{Selectors: []string{"{"}}, codes.InvalidArgument},
	} {
		ans, err := c.call.DeleteSeries(c.ctx, c.r)
		if status.Code(err) != c.code || err == nil && (ans.Series < 7 || ans.Samples == 0 || len(ans.Tiers) == 0) {
			t.Errorf("%s: %v, %v, want %v", c.name, ans, err, c.code)
		}
	}
	all.DryRun = false
	if ans, err := open.DeleteSeries(from("::1"), all); err != nil || ans.Series < 7 {
		t.Errorf("%v, %v", ans, err)
	}
	if ans, err := open.DeleteSeries(from("::1"), all); err != nil || ans.Series != 0 || ans.Samples != 0 {
		t.Errorf("once more: %v, %v", ans, err)
	}
}
