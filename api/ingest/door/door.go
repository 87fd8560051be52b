package door

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"

	"tsdb/api/reqbody"
	"tsdb/internal/vfs"
)

// Backend is the database behind the doors. It is safe for concurrent use.
type Backend interface {
	// Tenant returns the tenant whose series the doors write. While there is no
	// database it returns an error that wraps storage.ErrBusy.
	Tenant() (uint32, error)
	// NewBatch returns an empty batch for requests of one door.
	NewBatch(door string, tenant uint32) (Store, error)
}

// Options are the settings that all doors of a server share.
type Options struct {
	Backend Backend

	MaxBodyBytes int64           // limit of a body, before and after decompression; 0 = 32 MiB
	Budget       *reqbody.Budget // memory of all requests in flight; nil = a new budget of the default size
	Limits       Limits          // of the labels of a series
	Rules        Rules           // at first; see Shared.SetRules

	// Generation numbers the configuration of the first rules; those that follow
	// count on. It must change whenever a change of settings maps the same bytes to
	// other series, so that aliases of the old configuration are not used.
	Generation uint64

	Seed   uint64       // seed of the alias hashes; 0 = random
	Clock  vfs.Clock    // nil = the system clock
	Logger *slog.Logger // nil = none
}

// Shared is what the doors of a server share. It is safe for concurrent use.
type Shared struct {
	Budget *reqbody.Budget // memory of all requests in flight
	Limit  reqbody.Limit   // of a body, before and after decompression
	Clock  vfs.Clock
	Logger *slog.Logger
	// Rejected remembers the last refusals of the doors.
	Rejected *Rejected

	backend    Backend
	limits     Limits
	seed       uint64
	generation uint64 // the first
	rulesMu    sync.Mutex
	rules      atomic.Pointer[rulesInForce]
}

const defaultMaxBody = 32 << 20

// NewShared returns what the doors of a server share.
func NewShared(o Options) *Shared {
	setDefault(&o.MaxBodyBytes, defaultMaxBody)
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Budget == nil {
		o.Budget = reqbody.NewBudget(reqbody.Options{Limit: reqbody.DefaultLimit, MinRate: reqbody.DefaultMinRate, Clock: o.Clock})
	}
	if o.Seed == 0 {
		o.Seed = randomSeed()
	}
	s := &Shared{
		Budget: o.Budget, Limit: reqbody.Limit{Bytes: min(o.MaxBodyBytes, 1<<30), Setting: "limit.body"}, Clock: o.Clock, Logger: o.Logger,
		backend: o.Backend, limits: o.Limits.withDefaults(), seed: o.Seed, generation: o.Generation,
		Rejected: newRejected(o.Clock),
	}
	s.SetRules(o.Rules)
	return s
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

// Ready returns the error with which a write would fail because there is no
// database, nil if there is one. Doors call it before they read a body.
func (s *Shared) Ready() error {
	_, err := s.backend.Tenant()
	return err
}

// Seed returns the seed of the process, from which those of the aliases are
// derived.
func (s *Shared) Seed() uint64 { return s.seed }

// A Door serves the requests of one protocol: it is a pool of decoders, each with
// a batch and buffers. It is safe for concurrent use.
type Door[D Decoder] struct {
	shared     *Shared
	name       string
	protocol   Protocol
	newDecoder func() D
	pool       sync.Pool // of *Request[D]
}

// New returns a door. Its name is a label value of the rejection metrics; doors of
// several versions of a protocol share it.
func New[D Decoder](s *Shared, name string, p Protocol, newDecoder func() D) *Door[D] {
	return &Door[D]{shared: s, name: name, protocol: p, newDecoder: newDecoder}
}

// A Request is the reusable state of a request. It serves one request at a time.
type Request[D Decoder] struct {
	Body    Body
	Batch   Batch
	Decoder D

	door    *Door[D]
	tenant  uint32
	rules   *rulesInForce
	params  []string // that change labels
	storing bool     // Store has not returned
}

// Acquire returns the state for a request, which the caller releases. Doors call
// it once the body is complete, so that slow senders hold no decoders.
func (d *Door[D]) Acquire() (*Request[D], error) {
	tenant, err := d.shared.backend.Tenant()
	if err != nil {
		return nil, err
	}
	r, ok := d.pool.Get().(*Request[D])
	if !ok || r.tenant != tenant {
		store, err := d.shared.backend.NewBatch(d.name, tenant)
		if err != nil {
			return nil, err
		}
		r = &Request[D]{door: d, tenant: tenant, Decoder: d.newDecoder()}
		r.Batch.init(store, r.Decoder)
	}
	r.use(d.shared.rules.Load())
	r.params = r.params[:0]
	r.reseed()
	return r, nil
}

// Parameters sets the parameters of the request that change labels, in a canonical
// order. The same bytes name other series under other parameters.
func (r *Request[D]) Parameters(params ...string) {
	r.params = append(r.params[:0], params...)
	r.reseed()
}

// reseed sets the seed of the aliases from everything that determines the labels.
func (r *Request[D]) reseed() {
	d := r.door
	params := r.params
	if extra := r.Batch.Labels.extra; len(extra) > 0 {
		params = append(params, ExtraLabel)
		for _, l := range extra {
			params = append(params, l.Name, l.Value)
		}
	}
	r.Batch.Seed = aliasSeed(d.shared.seed, d.protocol, r.tenant, r.rules.generation, params...)
}

// Release ends the request and returns its state to the pool, unless it is in the
// middle of a request after a panic, or large.
func (r *Request[D]) Release() {
	large := cap(r.Body.decoded) > maxPooledBytes || cap(r.Body.raw) > maxPooledBytes
	r.Body.release()
	if r.storing || large {
		return
	}
	r.Batch.release()
	r.Decoder.Release()
	r.door.pool.Put(r)
}
