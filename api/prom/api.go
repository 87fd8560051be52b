package prom

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/limiter"
	"tsdb/api/querylog"
	"tsdb/api/reqbody"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/storage"
)

// Options are the options of an API. DB and Engine are required.
type Options struct {
	// DB returns the database, or an error until it is open. Safe for concurrent
	// use.
	DB     func() (*storage.DB, error)
	Engine *query.Engine

	Build BuildInfo
	// Reloaded returns when the configuration was last loaded, and whether the last
	// attempt succeeded; nil = at the start.
	Reloaded  func() (time.Time, bool)
	Started   time.Time                // of the process
	Retention string                   // of samples, in readable form
	Flags     func() map[string]string // by name; nil = none
	Config    func() string            // the configuration as YAML; nil = empty
	Targets   func() Targets           // scraped by the server; nil = none
	// RelabelSteps returns the effects of a scrape pool's relabelling rules; nil = there
	// are no pools.
	RelabelSteps func(pool string, ls labels.Labels) ([]RelabelStep, error)
	// Replay returns the number of bytes of the log that have been replayed at
	// startup, and the total; nil = none.
	Replay func() (done, total int64)

	Lookback  time.Duration // of /federate, as the engine's; 0 = query.DefaultLookback
	MaxPoints int           // of a series of a range query; 0 = query.DefaultMaxPoints
	Rollups   []string      // names of the rollups that are made, finest first

	Budget  *reqbody.Budget  // of request bodies; nil = a new one with the default limit
	Queries *querylog.Log    // nil = a new one that logs nothing
	Reads   *limiter.Limiter // of remote reads; nil = a new one with the default limit
	// Status limits the reports that read the index of many blocks. They have slots of
	// their own, so that they answer while reads and queries wait; nil = a new one of StatusSlots.
	Status         *limiter.Limiter
	ReadMaxSamples int // of one remote read answered with a single message; 0 = 50 million

	Clock  vfs.Clock    // nil = the system's
	Logger *slog.Logger // nil = none
}

// StatusSlots is the number of reports over the index that run at a time.
const StatusSlots = 2

// API serves the endpoints. It is safe for concurrent use.
type API struct {
	opts   Options
	parser *query.Parser
	now    func() time.Time
	log    *slog.Logger
}

// New returns an API.
func New(o Options) *API {
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Lookback == 0 {
		o.Lookback = query.DefaultLookback
	}
	if o.MaxPoints == 0 {
		o.MaxPoints = query.DefaultMaxPoints
	}
	if o.ReadMaxSamples == 0 {
		o.ReadMaxSamples = defaultReadSamples
	}
	if o.Queries == nil {
		o.Queries = querylog.New(querylog.Options{Clock: o.Clock})
	}
	if o.Reads == nil {
		o.Reads = limiter.New(limiter.DefaultConcurrent)
	}
	if o.Status == nil {
		o.Status = limiter.New(StatusSlots)
	}
	if o.Budget == nil {
		o.Budget = reqbody.NewBudget(reqbody.Options{Limit: reqbody.DefaultLimit, MinRate: reqbody.DefaultMinRate})
	}
	return &API{opts: o, parser: o.Engine.Parser(), now: o.Clock.Now, log: o.Logger}
}

// pastPaths are the endpoints that take as_of.
const pastPaths = "/query /query_range /query_exemplars /series /labels /label/{name}/values"

// Register mounts every endpoint under /api/v1, and /federate. The mux responds to
// unknown paths with 404 and to other methods with 405, in plain text. The caller
// restricts access to /api/v1/admin.
func (a *API) Register(mux *http.ServeMux) {
	const (
		get   = http.MethodGet
		post  = http.MethodPost
		put   = http.MethodPut
		del   = http.MethodDelete
		query = get + " " + post
	)
	for _, e := range []struct {
		methods, path string
		handler       handler
	}{
		{query, "/query", a.query},
		{query, "/query_range", a.queryRange},
		{query, "/query_exemplars", a.queryExemplars},
		{query, "/explain", a.explain},
		{query, "/format_query", a.formatQuery},
		{query, "/parse_query", a.parseQuery},
		{query, "/series", a.series},
		{query, "/labels", a.labelNames},
		{get, "/label/{name}/values", a.labelValues},
		{get, "/metadata", a.metadata},
		{get, "/targets", a.targets},
		{get, "/targets/metadata", a.targetMetadata},
		{get, "/targets/relabel_steps", a.relabelSteps},
		{get, "/rules", a.rules},
		{get, "/alerts", a.alerts},
		{get, "/alertmanagers", a.alertmanagers},
		{get, "/status/buildinfo", a.buildInfo},
		{get, "/status/runtimeinfo", a.runtimeInfo},
		{get, "/status/flags", a.flags},
		{get, "/status/config", a.config},
		{get, "/status/tsdb", a.cardinality},
		{get, "/status/tsdb/blocks", a.blocks},
		{get, "/status/walreplay", a.walReplay},
		{get, "/features", a.features},
		{get, "/notifications", a.notifications},
		{get, "/notifications/live", a.liveNotifications},
		{get, "/scrape_pools", a.scrapePools},
		{get, "/status/storage", a.storageStatus},
		{get, "/status/rollups", a.rollupStatus},
		{get, "/status/jobs", a.jobs},
		{get, "/status/metrics", a.metricSizes},
		{get, "/status/churn", a.churn},
		{get, "/status/cardinality", a.dailyCounts},
		{get, "/status/active_queries", a.activeQueries},
		{get, "/status/top_queries", a.topQueries},
		{post, "/admin/status/metric_names_stats/reset", a.resetMetricNamesStats},
		{post, "/admin/cancel_query", a.cancelQuery},
		{post, "/admin/flush", a.flush},
		{post, "/admin/compact", a.compact},
		{post, "/admin/drop_caches", a.dropCaches},
		{post + " " + put, "/admin/tsdb/delete_series", a.deleteSeries},
		{post + " " + put, "/admin/tsdb/clean_tombstones", a.cleanTombstones},
		{post + " " + put, "/admin/tsdb/snapshot", a.makeSnapshot},
		{get, "/admin/tsdb/snapshots", a.snapshots},
		{del, "/admin/tsdb/snapshots/{name}", a.removeSnapshot},
		{post, "/admin/tsdb/snapshots/{name}/remove", a.removeSnapshot},
		{get, "/admin/tsdb/snapshots/{name}/files", a.snapshotFiles},
	} {
		path := "/api/v1" + e.path
		if !contains(pastPaths, e.path) {
			e.handler = presentOnly(e.handler)
		}
		for _, method := range []string{get, post, put, del} {
			if contains(e.methods, method) {
				mux.Handle(method+" "+path, Compress(a.wrap(e.handler)))
			}
		}
		mux.HandleFunc("OPTIONS "+path, preflight)
	}
	mux.HandleFunc("GET /api/v1/admin/tsdb/snapshots/{name}/files/{path...}", a.snapshotFile)
	mux.Handle("GET /api/v1/status/metric_names_stats", Compress(http.HandlerFunc(a.metricNamesStats)))
	mux.HandleFunc("POST /api/v1/read", a.remoteRead)
	for _, method := range []string{get, post} {
		mux.Handle(method+" /api/v1/export", Compress(http.HandlerFunc(a.export)))
	}
	mux.Handle("GET /federate", Compress(http.HandlerFunc(a.federate)))
}

// preflight responds to OPTIONS. The server sets the CORS headers.
func preflight(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
