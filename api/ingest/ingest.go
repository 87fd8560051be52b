package ingest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/api/ingest/appender"
	"tsdb/api/ingest/csv"
	"tsdb/api/ingest/datadog"
	"tsdb/api/ingest/door"
	"tsdb/api/ingest/graphite"
	"tsdb/api/ingest/influx"
	"tsdb/api/ingest/jsonlines"
	"tsdb/api/ingest/listener"
	"tsdb/api/ingest/opentsdb"
	"tsdb/api/ingest/otlp"
	"tsdb/api/ingest/pushgateway"
	"tsdb/api/ingest/remotewrite"
	"tsdb/api/ingest/rpcwrite"
	"tsdb/api/ingest/text"
	"tsdb/api/reqbody"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// Options configures an Ingest.
type Options struct {
	// DB returns the database. While there is none it returns an error that
	// wraps storage.ErrBusy, and writes are answered 503. It must be safe for
	// concurrent use.
	DB func() (*storage.DB, error)

	// Tenant is the name of the tenant whose series the doors write; empty =
	// storage.DefaultTenantName.
	Tenant string

	MaxBodyBytes int64           // limit of a body, before and after decompression; 0 = 32 MiB
	Budget       *reqbody.Budget // memory of all requests in flight; nil = a new budget of the default size
	Limits       door.Limits     // of the labels of a series
	Rules        door.Rules      // at first; see Ingest.SetRules

	// InfluxDBLabel is the name of the label that holds the db or bucket of an
	// Influx write. A tag of that name takes precedence. Empty = no label.
	InfluxDBLabel string
	InfluxNaming  *influx.Naming // which metrics fields become; nil = influx.DefaultNaming

	Names door.Names // of metrics and tags of OpenTSDB, DataDog and Graphite

	OTLP otlp.Settings // which series OTLP metrics become; valid

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
	shared      *door.Shared
	remoteWrite *remotewrite.Handler
	influx      *influx.Handler
	jsonLines   *jsonlines.Handler
	otlp        *otlp.Handler
	text        *text.Handler
	csv         *csv.Handler
	pushGateway *pushgateway.Handler
	openTSDB    *opentsdb.Handler
	dataDog     *datadog.Handler
	graphite    *graphite.Handler
	rpcWrite    *rpcwrite.Service
	appendable  *appender.Appendable
}

// New returns an Ingest with the given options.
func New(o Options) *Ingest {
	setTenant(&o)
	return newIngest(o, database{db: o.DB, tenant: o.Tenant})
}

func setTenant(o *Options) {
	if o.Tenant == "" {
		o.Tenant = storage.DefaultTenantName
	}
}

func newIngest(o Options, backend door.Backend) *Ingest {
	s := door.NewShared(door.Options{
		Backend: backend, MaxBodyBytes: o.MaxBodyBytes, Budget: o.Budget, Limits: o.Limits, Rules: o.Rules,
		Generation: o.Generation, Seed: o.Seed, Clock: o.Clock, Logger: o.Logger,
	})
	texts := text.New(s)
	return &Ingest{
		shared:      s,
		remoteWrite: remotewrite.New(s),
		influx: influx.New(s, influx.Options{
			DB: o.DB, DBLabel: o.InfluxDBLabel, Naming: o.InfluxNaming, Tenant: o.Tenant, RetentionMs: o.RetentionMs, Version: o.Version,
		}),
		jsonLines:   jsonlines.New(s),
		otlp:        otlp.New(s, o.OTLP),
		text:        texts,
		csv:         csv.New(s),
		pushGateway: pushgateway.New(s, texts, o.DB, o.Tenant),
		openTSDB:    opentsdb.New(s, o.Names),
		dataDog:     datadog.New(s, o.Names),
		graphite:    graphite.New(s, o.Names),
		rpcWrite:    rpcwrite.New(s),
		appendable:  appender.New(s),
	}
}

// database is the backend of the doors.
type database struct {
	db     func() (*storage.DB, error)
	tenant string
}

// Tenant implements door.Backend.
func (d database) Tenant() (uint32, error) {
	db, err := d.db()
	if err != nil {
		return 0, err
	}
	return db.Tenant(d.tenant)
}

// NewBatch implements door.Backend.
func (d database) NewBatch(name string, tenant uint32) (door.Store, error) {
	db, err := d.db()
	if err != nil {
		return nil, err
	}
	return db.NewBatch(name, tenant), nil
}

// Register registers the HTTP handlers of all doors.
func (in *Ingest) Register(mux *http.ServeMux) {
	in.remoteWrite.Register(mux)
	in.influx.Register(mux)
	in.jsonLines.Register(mux)
	in.otlp.Register(mux)
	in.text.Register(mux)
	in.csv.Register(mux)
	in.pushGateway.Register(mux)
	in.openTSDB.Register(mux)
	in.dataDog.Register(mux)
	mux.HandleFunc("GET "+rejectedPath, in.rejected)
	mux.HandleFunc("OPTIONS "+rejectedPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
}

// Doors returns the names of the doors, which rules may name.
func Doors() []string {
	return []string{remotewrite.DoorName, influx.DoorName, jsonlines.DoorName, text.DoorName, csv.DoorName, otlp.DoorName, opentsdb.DoorName, datadog.DoorName, graphite.DoorName, rpcwrite.DoorName, appender.DoorName}
}

// SetRules replaces the rules of the doors. Aliases of the old rules are not used any
// more, so that every series is relabelled again when it is next sent.
func (in *Ingest) SetRules(r door.Rules) { in.shared.SetRules(r) }

// SetOTLP replaces the settings of OTLP, which are valid.
func (in *Ingest) SetOTLP(o otlp.Settings) { in.otlp.Set(o) }

// InfluxListener returns a listener for line protocol over TCP and UDP. The options are
// valid.
func (in *Ingest) InfluxListener(o influx.ListenOptions, reg prometheus.Registerer) *listener.Listener {
	return listener.New(listener.Options{
		Door: influx.DoorName, Shared: in.shared, Whole: influx.WholeLines, MaxLineBytes: influx.MaxListenLine, Registerer: reg,
		Store: func(ctx context.Context, lines []byte, _ io.Writer) (storage.Receipt, error) {
			return in.influx.StoreLines(ctx, lines, o)
		},
	})
}

// GraphiteListener returns a listener for Graphite's lines over TCP and UDP.
func (in *Ingest) GraphiteListener(reg prometheus.Registerer) *listener.Listener {
	return listener.New(listener.Options{Door: graphite.DoorName, Shared: in.shared, Store: in.graphite.StoreLines, Registerer: reg})
}

// RegisterRPC registers the services of all doors.
func (in *Ingest) RegisterRPC(s rpcwrite.Server) {
	in.rpcWrite.Register(s)
	in.otlp.RegisterRPC(s)
}

// Route returns the path that serves a request in the place of its own, "" for its own:
// DataDog's series and Prometheus' list of series share a path.
func (in *Ingest) Route(r *http.Request) string {
	if datadog.IsSeries(r) {
		return datadog.Prefix + datadog.SeriesV1
	}
	return ""
}

// Appendable returns what scrapes write to.
func (in *Ingest) Appendable() *appender.Appendable { return in.appendable }

// Refuse writes an error response for a request that the server rejects before it
// reaches a door, such as one without credentials. The response has the format of
// the protocol of the path. Refuse returns false if no door has the path.
//
// A rate limit answers 503 in the place of 429, which Prometheus (unless
// retry_on_http_429 is set) and the clients of InfluxDB 1 take for final: they would drop
// the samples.
func (in *Ingest) Refuse(w http.ResponseWriter, r *http.Request, status int, text string) bool {
	if status == http.StatusTooManyRequests {
		status = http.StatusServiceUnavailable
	}
	switch path := r.URL.Path; {
	case datadog.Serves(path):
		datadog.Fail(w, status, text)
	case path == "/write", path == "/query", path == "/ping", path == "/health", path == "/ready", strings.HasPrefix(path, "/api/v2/"), strings.HasPrefix(path, "/api/v3/"):
		in.influx.Fail(w, r, status, text)
	case path == "/api/v1/write", path == "/api/v1/push", path == "/api/v1/import", strings.HasPrefix(path, "/api/v1/import/"), strings.HasPrefix(path, "/metrics/job"):
		in.shared.Fail(w, text, status)
	case slices.Contains(otlp.Paths, path):
		otlp.Fail(w, r, status, text)
	case slices.Contains(opentsdb.Paths, strings.TrimSuffix(path, "/")):
		opentsdb.Fail(w, status, text)
	default:
		return false
	}
	return true
}
