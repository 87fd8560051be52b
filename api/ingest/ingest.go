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

// Options are the settings of the doors.
type Options struct {
	// DB returns the database, or an error for which errors.Is(err,
	// storage.ErrBusy) holds while there is none: writes are then answered
	// 503. Safe for concurrent use.
	DB func() (*storage.DB, error)

	MaxBodyBytes int64           // of a body, before and after decompression; 0 = 32 MiB
	Budget       *reqbody.Budget // of all requests under way; nil = one of its own with the default
	Limits       storage.Limits  // of a series; zero fields are the defaults, the database's should be the same

	// InfluxDBLabel names the label that the db or bucket of an Influx write
	// becomes, unless a line has a tag of that name. Empty = none.
	InfluxDBLabel string

	// RetentionMs is how long samples are kept, for SHOW RETENTION POLICIES; 0 =
	// for ever.
	RetentionMs int64

	// Generation counts configurations: doors that would name series
	// otherwise than before have another one, so they share no alias.
	Generation uint64

	Seed    uint64       // of the alias hashes of this process; 0 = random
	Version string       // of the server, shown to Influx clients
	Clock   vfs.Clock    // nil = the system clock
	Logger  *slog.Logger // nil = none
}

// Ingest is the doors of one server. It is safe for concurrent use and holds
// no goroutine: there is nothing to close.
type Ingest struct {
	opts   Options
	seed   uint64
	write1 uint64 // alias seeds of requests without parameters
	write2 uint64
	limit  reqbody.Limit // of a body
	budget *reqbody.Budget

	metadata metadataCache

	ready    func() error // why there is no database; with newBatch a seam for tests
	newBatch func(door string) (batch, error)
	writes   sync.Pool // of *writeRequest
	influx   sync.Pool // of *influxRequest

	started   time.Time
	requests  atomic.Uint64 // names requests in answers to Influx clients
	databases databases
	strings   stringLog
}

// batch is what a door needs of a *storage.Batch.
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

// The defaults, and the names of the doors in metrics and logs.
const (
	defaultMaxBody = 32 << 20

	doorRemoteWrite = "remote_write"
	doorInflux      = "influx"
	doorRPC         = "grpc"
)

// The limits of a label that labels.Labels itself can hold, with room to spare.
const maxLabelBytes = 1<<24 - 1

// New returns doors with the given settings.
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
		return db.NewBatch(door), nil
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

// Register adds the paths of all doors to a mux.
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

// health reports why the doors cannot write at the moment.
func (in *Ingest) health() error {
	db, err := in.opts.DB()
	if err != nil {
		return err
	}
	return db.Health()
}

// A decoder adds what a request holds to an empty batch. It is called again if
// a series has left memory in between. An error means that the request cannot
// be decoded and nothing of it is to be stored.
type decoder interface {
	decode(b batch) error
}

// staleRetries is how often a request is decoded again because a series it
// names left memory between lookup and commit.
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

// retryAfter is the Retry-After of a 503, in seconds: what stopped the request
// is usually over within one.
const retryAfter = "1"

// retryable reports whether sending the same request again will help.
func retryable(err error) bool {
	for _, e := range [...]error{storage.ErrBusy, storage.ErrPoisoned, storage.ErrStaleRef, storage.ErrClosed, reqbody.ErrOverload, reqbody.ErrYielded, reqbody.ErrTooSlow, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// statusOf returns the status that says what became of a request that failed
// as a whole. An error nobody expects is logged; the database logs its own.
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
