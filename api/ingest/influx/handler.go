package influx

import (
	"net/http"
	"sync/atomic"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// Options configures a Handler.
type Options struct {
	// DB returns the database, of which health and the names of databases are
	// asked. While there is none it returns an error that wraps
	// storage.ErrBusy.
	DB func() (*storage.DB, error)

	// DBLabel is the name of the label that holds the db or bucket of a write. A
	// tag of that name takes precedence. Empty = no label.
	DBLabel string

	// Naming says which metrics fields become; nil = DefaultNaming.
	Naming *Naming

	Tenant      string // name of the tenant whose databases are shown
	RetentionMs int64  // the retention shown by SHOW RETENTION POLICIES; 0 = unlimited
	Version     string // server version shown to clients
}

// DoorName is the name of the door in metrics.
const DoorName = "influx"

// Handler serves the endpoints of InfluxDB's line protocol. It is safe for
// concurrent use.
type Handler struct {
	shared *door.Shared
	opts   Options
	door   *door.Door[*decoder]

	started   time.Time
	requests  atomic.Uint64 // numbers the requests
	databases databases
	strings   stringLog

	measurements measurements
}

// New returns a handler.
func New(s *door.Shared, o Options) *Handler {
	if o.Naming == nil {
		o.Naming = &DefaultNaming
	}
	h := &Handler{shared: s, opts: o, started: s.Clock.Now()}
	h.strings.log = s.Logger
	h.door = door.New(s, DoorName, door.Influx, func() *decoder { return &decoder{strings: &h.strings, naming: o.Naming, measurements: &h.measurements} })
	return h
}

// Register registers the endpoints.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("/write", h.write1)
	mux.HandleFunc("/api/v2/write", h.write2)
	mux.HandleFunc("/api/v3/write_lp", h.write3)
	mux.HandleFunc("/api/v2/delete", h.delete2)
	mux.HandleFunc("/api/v2/buckets", h.buckets)
	mux.HandleFunc("/api/v2/orgs", h.orgs)
	mux.HandleFunc("/api/v2/setup", h.setup)
	mux.HandleFunc("/ping", h.ping)
	mux.HandleFunc("/health", h.health)
	mux.HandleFunc("/ready", h.ready)
	mux.HandleFunc("/query", h.query)
}

// healthy returns an error if writes would currently fail.
func (h *Handler) healthy() error {
	db, err := h.opts.DB()
	if err != nil {
		return err
	}
	return db.Health()
}
