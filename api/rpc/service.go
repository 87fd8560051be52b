package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"tsdb/api/limiter"
	"tsdb/api/querylog"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
	"tsdb/storage"
)

// Options are the options of a Service. DB and Engine are required.
type Options struct {
	// DB returns the database, or an error until it is open. Safe for concurrent
	// use.
	DB     func() (*storage.DB, error)
	Engine *query.Engine

	Lookback  time.Duration    // as the engine's; 0 = query.DefaultLookback
	MaxPoints int              // of a series of a range query; 0 = query.DefaultMaxPoints
	Rollups   []string         // names of the rollups that are made, finest first
	Queries   *querylog.Log    // nil = one of its own that logs nothing
	Reads     *limiter.Limiter // of Series; nil = one of its own with the default
	Clock     vfs.Clock        // nil = the system's
	Logger    *slog.Logger     // nil = none

	EnableAdmin bool // Admin answers every client, not only those on this machine
}

// Service implements tsdb.v1.Query and tsdb.v1.Admin. It is safe for concurrent use.
type Service struct {
	tsdbv1.UnimplementedQueryServer
	opts Options
}

// New returns a service.
func New(o Options) *Service {
	if o.Lookback == 0 {
		o.Lookback = query.DefaultLookback
	}
	if o.MaxPoints == 0 {
		o.MaxPoints = query.DefaultMaxPoints
	}
	if o.Reads == nil {
		o.Reads = limiter.New(limiter.DefaultConcurrent)
	}
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Queries == nil {
		o.Queries = querylog.New(querylog.Options{Clock: o.Clock})
	}
	return &Service{opts: o}
}

// Register registers the services with a gRPC server.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	tsdbv1.RegisterQueryServer(r, s)
	tsdbv1.RegisterAdminServer(r, &admin{Service: s})
}

// maxSelectors bounds the selectors of a request.
const maxSelectors = 1000

// selectors parses a list of selectors. Each must have a matcher that does not
// match the empty string.
func (s *Service) selectors(texts []string) ([][]*labels.Matcher, error) {
	if len(texts) > maxSelectors {
		return nil, invalid(fmt.Errorf("%d selectors, the limit is %d", len(texts), maxSelectors))
	}
	sets, err := s.opts.Engine.Parser().ParseMetricSelectors(texts)
	if err != nil {
		return nil, invalid(err)
	}
	for _, ms := range sets {
		if !query.Selective(ms) {
			return nil, invalid(errors.New("a selector must contain at least one non-empty matcher"))
		}
	}
	return sets, nil
}

// inclusive returns the half-open range of the times from start to end.
func inclusive(start, end int64) model.TimeRange {
	return model.Inclusive(start, end)
}

func orElse(p *int64, missing int64) int64 {
	if p == nil {
		return missing
	}
	return *p
}

// view acquires a view of the database and a slot of the limiter for a read. Both
// are held until release.
func (s *Service) view(ctx context.Context) (_ *storage.View, release func(), err error) {
	if err := s.opts.Reads.Acquire(ctx); err != nil {
		return nil, nil, err
	}
	entered := false
	defer func() {
		if !entered { // an error or a panic
			s.opts.Reads.Release()
		}
	}()
	db, err := s.opts.DB()
	if err != nil {
		return nil, nil, err
	}
	v, err := db.View()
	if err != nil {
		return nil, nil, err
	}
	entered = true
	return v, func() {
		v.Release()
		s.opts.Reads.Release()
	}, nil
}
