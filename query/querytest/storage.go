// Package querytest provides a database in memory to tests through Prometheus'
// storage interfaces for reading and writing.
package querytest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/zeebo/xxh3"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// Storage is a database in memory that implements Prometheus' storage interface. It is
// safe for concurrent use as required by the interface.
type Storage struct {
	*query.Queryable
	DB *storage.DB
	FS *vfs.Mem // the data directory is "data"

	settle bool
	mu     sync.Mutex
	dirty  bool // written to since it was last settled; guarded by mu
}

var _ promstorage.Storage = (*Storage)(nil)

// New opens an empty database in memory that accepts samples of all times up to the
// year 2200; the directory is checked when the test ends. With settle, the first read after a write flushes the head to blocks and
// compacts them.
func New(t testing.TB, settle bool) *Storage {
	t.Helper()
	return NewWithRollups(t, settle)
}

// NewWithRollups is New for a database that makes rollups, which settling makes too.
func NewWithRollups(t testing.TB, settle bool, rollups ...block.Tier) *Storage {
	t.Helper()
	keep := make(map[block.Tier]int64) // for ever
	for _, tier := range rollups {
		keep[tier] = 0
	}
	fs := doctortest.NewMem(t)
	db, err := storage.Open(t.Context(), fs, "data", storage.Options{
		MaxFutureMs:     math.MaxInt64 / 4,
		Clock:           vfs.NewManualClock(time.Unix(0, 0)),
		TierRetentionMs: keep,
	})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return &Storage{Queryable: query.NewQueryable(db, model.DefaultTenant), DB: db, FS: fs, settle: settle}
}

// Querier returns a querier for the times mint to maxt, both inclusive.
func (s *Storage) Querier(mint, maxt int64) (promstorage.Querier, error) {
	if err := s.settleOnce(); err != nil {
		return nil, err
	}
	return s.Queryable.Querier(mint, maxt)
}

func (s *Storage) settleOnce() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.settle || !s.dirty {
		return nil
	}
	s.dirty = false
	if _, err := s.DB.Flush(context.Background()); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if _, err := s.DB.Compact(context.Background()); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	st, err := s.DB.Status()
	if err == nil && st.Head.Samples != 0 {
		err = fmt.Errorf("%d samples are still in the head", st.Head.Samples)
	}
	return err
}

var errUnused = errors.New("not part of this test storage")

// ChunkQuerier is not supported.
func (s *Storage) ChunkQuerier(int64, int64) (promstorage.ChunkQuerier, error) {
	return nil, errUnused
}

// Appender is not supported: tests write through AppenderV2.
func (s *Storage) Appender(context.Context) promstorage.Appender { panic(errUnused) }

// StartTime returns the oldest possible time.
func (s *Storage) StartTime() (int64, error) { return math.MinInt64, nil }

// Close closes the database.
func (s *Storage) Close() error { return s.DB.Close(context.Background()) }

// AppenderV2 returns an appender for one batch.
func (s *Storage) AppenderV2(ctx context.Context) promstorage.AppenderV2 {
	return &appender{ctx: ctx, s: s, batch: s.DB.NewBatch("test", model.DefaultTenant)}
}

type appender struct {
	ctx     context.Context
	s       *Storage
	batch   *storage.Batch
	scratch []byte
}

// Append adds a sample with its exemplars and metadata to the batch.
func (a *appender) Append(_ promstorage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o promstorage.AppendV2Options) (promstorage.SeriesRef, error) {
	a.scratch = model.AppendLabels(a.scratch[:0], ls)
	hash := xxh3.Hash128(a.scratch)
	alias := model.Hash{Hi: hash.Hi, Lo: hash.Lo}
	ref, ok := a.batch.Lookup(alias)
	if !ok {
		var err error
		if ref, err = a.batch.Resolve(alias, ls); err != nil {
			return 0, err
		}
	}
	switch {
	case h != nil:
		a.batch.Histogram(ref, t, st, model.Histogram{Int: h.Copy()})
	case fh != nil:
		a.batch.Histogram(ref, t, st, model.Histogram{Float: fh.Copy()})
	default:
		a.batch.Float(ref, t, st, v)
	}
	for _, e := range o.Exemplars {
		a.batch.Exemplar(ref, exemplarOf(e))
	}
	if o.Metadata.Type != "" {
		a.batch.Metadata(o.MetricFamilyName, model.Metadata{Type: string(o.Metadata.Type), Unit: o.Metadata.Unit, Help: o.Metadata.Help})
	}
	return promstorage.SeriesRef(ref), nil
}

func exemplarOf(e exemplar.Exemplar) model.Exemplar {
	return model.Exemplar{T: e.Ts, V: e.Value, Labels: e.Labels}
}

// Commit makes the batch durable. A refused sample is an error.
func (a *appender) Commit() error {
	r, err := a.batch.Commit(a.ctx)
	if err != nil {
		return err
	}
	if n := r.RejectedCount(); n > 0 {
		return fmt.Errorf("%d samples refused: %+v", n, r.Rejected)
	}
	a.s.mu.Lock()
	a.s.dirty = true
	a.s.mu.Unlock()
	return nil
}

// Rollback drops the batch.
func (a *appender) Rollback() error { return nil }
