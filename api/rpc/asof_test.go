package rpc

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
	"tsdb/storage"
)

// Queries answer as of a mark and name it, until a purge; Explain is about the present.
func TestAsOf(t *testing.T) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := storage.Open(t.Context(), doctortest.NewMem(t), "data", storage.Options{Clock: clock, HistoryKeep: 24 * time.Hour, ReserveBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	o := Options{DB: func() (*storage.DB, error) { return db, nil }, Engine: query.New(query.Options{}), Clock: clock}
	s := newServer(t, o)
	now := clock.Now().UnixMilli()
	write := func(i int) {
		b := db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, now, 0, float64(i))
		if _, err := b.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Minute)
	}
	write(1)
	write(2)
	// names returns the series of both kinds of queries, which must be the same, and infos.
	names := func(o *tsdbv1.QueryOptions) (series, infos []string) {
		t.Helper()
		stream, err := s.Query(t.Context(), &tsdbv1.QueryRequest{Query: "m", TimeMs: &now, Options: o})
		one, err := all(t, stream, err)
		if err != nil {
			t.Fatal(err)
		}
		stream, err = s.QueryRange(t.Context(), &tsdbv1.QueryRangeRequest{Query: "m", StartMs: now, EndMs: now, StepMs: 1, Options: o})
		many, err := all(t, stream, err)
		if err != nil {
			t.Fatal(err)
		}
		a, b := assemble(t, one), assemble(t, many)
		if !slices.Equal(a.series, b.series) || !slices.Equal(a.end.Infos, b.end.Infos) {
			t.Errorf("%v, %v and %v, %v", a.series, a.end.Infos, b.series, b.end.Infos)
		}
		return a.series, a.end.Infos
	}
	first := &tsdbv1.QueryOptions{AsOfMs: proto.Int64(now + 1000)}
	if series, infos := names(nil); len(series) != 2 || len(infos) != 0 {
		t.Errorf("now %v, %v", series, infos)
	}
	if series, infos := names(first); len(series) != 1 || len(infos) != 1 || !strings.Contains(infos[0], "as of the mark of 2026-03-10T12:00:00.000Z") {
		t.Errorf("then %v, %v", series, infos)
	}
	if _, err := s.instant(t, "m", &tsdbv1.QueryOptions{AsOfMs: proto.Int64(now - 1)}); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "the oldest is of 2026-03-10T12:00:00.000Z (--history.keep=1d)") {
		t.Errorf("before the first mark: %v", err)
	}
	if _, err := s.Explain(t.Context(), &tsdbv1.ExplainRequest{Query: "m", Options: first}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("explain: %v", err)
	}
	o.EnableAdmin = true
	open := &admin{Service: New(o)}
	ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv6loopback}})
	if _, err := open.DeleteSeries(ctx, &tsdbv1.DeleteSeriesRequest{Selectors: []string{`m{i="1"}`}}); err != nil {
		t.Fatal(err)
	}
	if series, _ := names(first); len(series) != 1 {
		t.Errorf("after a delete, then %v", series)
	}
	if _, err := open.DeleteSeries(ctx, &tsdbv1.DeleteSeriesRequest{Selectors: []string{`m{i="1"}`}, Purge: true}); err != nil {
		t.Fatal(err)
	}
	if series, _ := names(first); len(series) != 0 {
		t.Errorf("after a purge, then %v", series)
	}
}
