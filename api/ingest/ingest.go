package ingest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/reqbody"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// Options configures an Ingest.
type Options struct {
	// DB returns the database. While there is none it returns an error that
	// wraps storage.ErrBusy, and writes are answered 503. It must be safe for
	// concurrent use.
	DB func() (*storage.DB, error)

	MaxBodyBytes int64           // limit of a body, before and after decompression; 0 = 32 MiB
	Budget       *reqbody.Budget // memory of all requests in flight; nil = a new budget of the default size
	Limits       storage.Limits  // limits of a series, which should equal the database's; zero fields mean the defaults

	// InfluxDBLabel is the name of the label that holds the db or bucket of an
	// Influx write. A tag of that name takes precedence. Empty = no label.
	InfluxDBLabel string

	// RetentionMs is the retention shown by SHOW RETENTION POLICIES; 0 =
	// unlimited.
	RetentionMs int64

	// Generation numbers the configuration. It must change whenever a change
	// of settings maps the same bytes to other series, so that aliases of the
	// old configuration are not used.
	Generation uint64

	Seed    uint64       // seed of the alias hashes; 0 = random
	Version string       // server version shown to Influx clients
	Clock   vfs.Clock    // nil = the system clock
	Logger  *slog.Logger // nil = none
}

// Ingest serves the doors of one server. It is safe for concurrent use. It
// starts no goroutines and needs no Close.
type Ingest struct {
	opts   Options
	seed   uint64
	write1 uint64 // alias seeds of remote write, which has no parameters
	write2 uint64
	limit  reqbody.Limit // of a body
	budget *reqbody.Budget

	metadata metadataCache

	ready    func() error // reports why there is no database; replaced in tests, like newBatch
	newBatch func(door string) (batch, error)
	writes   sync.Pool // of *writeRequest
	influx   sync.Pool // of *influxRequest

	started   time.Time
	requests  atomic.Uint64 // numbers the requests of Influx clients
	databases databases
	strings   stringLog
}

// batch is the part of *storage.Batch that the doors use.
type batch interface {
	Reset()
	LookupAll(aliases []model.Hash, refs []model.Ref)
	Resolve(alias model.Hash, ls labels.Labels) (model.Ref, error)
	Float(ref model.Ref, t, st int64, v float64)
	Histogram(ref model.Ref, t, st int64, h model.Histogram)
	Exemplar(ref model.Ref, e model.Exemplar)
	Metadata(metric string, m model.Metadata)
	Reject(reason storage.Reason, series string, t int64, detail string, n int)
	Commit(ctx context.Context) (storage.Receipt, error)
}

// Defaults, and the names of the doors in metrics and logs.
const (
	defaultMaxBody = 32 << 20

	doorRemoteWrite = "remote_write"
	doorInflux      = "influx"
	doorRPC         = "grpc"
)

// maxLabelBytes bounds the configurable limits of names and values. It is below
// the length that labels.Labels can encode.
const maxLabelBytes = 1<<24 - 1

// New returns an Ingest with the given options.
func New(o Options) *Ingest {
	setDefault(&o.MaxBodyBytes, defaultMaxBody)
	setDefault(&o.Limits.Labels, 128)
	setDefault(&o.Limits.NameBytes, 1<<10)
	setDefault(&o.Limits.ValueBytes, 16<<10)
	o.Limits.NameBytes = min(o.Limits.NameBytes, maxLabelBytes)
	o.Limits.ValueBytes = min(o.Limits.ValueBytes, maxLabelBytes)
	o.MaxBodyBytes = min(o.MaxBodyBytes, 1<<30)
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Budget == nil {
		o.Budget = reqbody.NewBudget(reqbody.Options{Limit: reqbody.DefaultLimit, MinRate: reqbody.DefaultMinRate, Clock: o.Clock})
	}
	in := &Ingest{opts: o, seed: o.Seed, limit: reqbody.Limit{Bytes: o.MaxBodyBytes, Setting: "limit.body"}, budget: o.Budget, started: o.Clock.Now()}
	if in.seed == 0 {
		in.seed = randomSeed()
	}
	in.strings.log = o.Logger
	in.write1 = aliasSeed(in.seed, protocolWrite1, o.Generation)
	in.write2 = aliasSeed(in.seed, protocolWrite2, o.Generation)
	in.ready = func() error {
		_, err := o.DB()
		return err
	}
	in.newBatch = func(door string) (batch, error) {
		db, err := o.DB()
		if err != nil {
			return nil, err
		}
		return db.NewBatch(door, tenant), nil
	}
	return in
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func randomSeed() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on the systems Go supports
	}
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// Register registers the HTTP handlers of all doors.
func (in *Ingest) Register(mux *http.ServeMux) {
	mux.HandleFunc("/api/v1/write", in.RemoteWrite)
	mux.HandleFunc("/api/v1/push", in.RemoteWrite)
	mux.HandleFunc("/write", in.InfluxWrite)
	mux.HandleFunc("/api/v2/write", in.InfluxWriteV2)
	mux.HandleFunc("/ping", in.InfluxPing)
	mux.HandleFunc("/health", in.InfluxHealth)
	mux.HandleFunc("/ready", in.InfluxReady)
	mux.HandleFunc("/query", in.InfluxQuery)
}

// health returns an error if writes would currently fail.
func (in *Ingest) health() error {
	db, err := in.opts.DB()
	if err != nil {
		return err
	}
	return db.Health()
}

// A decoder adds the contents of a request to an empty batch. decode is called
// again if a series was evicted before the commit. If it returns an error, none
// of the request is stored.
type decoder interface {
	decode(b batch) error
}

// staleRetries is the number of times a request is decoded again because one of
// its series was evicted between lookup and commit.
const staleRetries = 3

// store decodes a request into the batch and commits it.
func store(ctx context.Context, b batch, d decoder) (storage.Receipt, error) {
	for attempt := 0; ; attempt++ {
		b.Reset()
		if err := d.decode(b); err != nil {
			return storage.Receipt{}, err
		}
		r, err := b.Commit(ctx)
		if err == nil || !errors.Is(err, storage.ErrStaleRef) || attempt == staleRetries {
			return r, err
		}
	}
}

// retryAfter is the Retry-After header of a 503, in seconds. The cause usually
// passes within one.
const retryAfter = "1"

// retryable reports whether the same request may succeed when sent again.
func retryable(err error) bool {
	for _, e := range [...]error{storage.ErrBusy, storage.ErrPoisoned, storage.ErrStaleRef, storage.ErrClosed, reqbody.ErrOverload, reqbody.ErrYielded, reqbody.ErrTooSlow, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// statusOf returns the HTTP status for a request that failed as a whole. It logs
// unexpected errors; the database logs its own.
func (in *Ingest) statusOf(err error) int {
	var corrupt *corruptError
	var wire *wireError
	var request *requestError
	var encoding *encodingError
	switch {
	case errors.Is(err, reqbody.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case retryable(err):
		return http.StatusServiceUnavailable
	case errors.As(err, &corrupt), errors.As(err, &wire), errors.As(err, &request), errors.As(err, &encoding), errors.Is(err, reqbody.ErrRead):
		return http.StatusBadRequest
	}
	in.opts.Logger.Error("write failed", "err", err)
	return http.StatusInternalServerError
}
