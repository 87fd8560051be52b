package prom

import (
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"tsdb/storage"
)

// APIVersion is the version of Prometheus whose API this package implements.
// Clients enable features by it.
const APIVersion = "3.14.0"

// BuildInfo describes the program. It has no member "features", because clients take a
// server with features for a different product.
type BuildInfo struct {
	Version   string `json:"version"`     // of the API; set by New
	Own       string `json:"tsdbVersion"` // of this program
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"` // set by New
}

func (a *API) buildInfo(*http.Request) (answer, *apiError) {
	b := a.opts.Build
	b.Version, b.GoVersion = APIVersion, runtime.Version()
	return answer{data: jsonValue(b)}, nil
}

type runtimeView struct {
	StartTime           time.Time `json:"startTime"`
	CWD                 string    `json:"CWD"`
	Hostname            string    `json:"hostname"`
	ServerTime          time.Time `json:"serverTime"`
	ReloadConfigSuccess bool      `json:"reloadConfigSuccess"`
	LastConfigTime      time.Time `json:"lastConfigTime"`
	CorruptionCount     int64     `json:"corruptionCount"`
	GoroutineCount      int       `json:"goroutineCount"`
	GOMAXPROCS          int       `json:"GOMAXPROCS"`
	GOMEMLIMIT          int64     `json:"GOMEMLIMIT"`
	GOGC                string    `json:"GOGC"`
	GODEBUG             string    `json:"GODEBUG"`
	StorageRetention    string    `json:"storageRetention"`
}

func (a *API) runtimeInfo(*http.Request) (answer, *apiError) {
	dir, err := os.Getwd()
	if err != nil {
		dir = "<error retrieving current working directory>"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "<error retrieving hostname>"
	}
	loaded, ok := a.opts.Started, true
	if a.opts.Reloaded != nil {
		loaded, ok = a.opts.Reloaded()
	}
	return answer{data: jsonValue(runtimeView{
		StartTime: a.opts.Started.UTC(), LastConfigTime: loaded.UTC(), ServerTime: a.now().UTC(), ReloadConfigSuccess: ok,
		CWD: dir, Hostname: host, StorageRetention: a.opts.Retention,
		GoroutineCount: runtime.NumGoroutine(), GOMAXPROCS: runtime.GOMAXPROCS(0), GOMEMLIMIT: debug.SetMemoryLimit(-1),
		GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG"),
	})}, nil
}

func (a *API) flags(*http.Request) (answer, *apiError) {
	flags := map[string]string{}
	if a.opts.Flags != nil {
		flags = a.opts.Flags()
	}
	return answer{data: jsonValue(flags)}, nil
}

func (a *API) config(*http.Request) (answer, *apiError) {
	text := ""
	if a.opts.Config != nil {
		text = a.opts.Config()
	}
	return answer{data: jsonValue(map[string]string{"yaml": text})}, nil
}

// rollupStatus returns what is rolled up, and what waits for it.
func (a *API) rollupStatus(*http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	return answer{data: jsonValue(db.RollupStatus())}, nil
}

// jobs returns what the background jobs do, how far they are, and what comes next.
func (a *API) jobs(*http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	return answer{data: jsonValue(map[string][]storage.JobActivity{"jobs": db.JobActivities()})}, nil
}

// storageStatus returns the files on disk, by partition. Counting the series reads the
// index of every block, so it takes a slot.
func (a *API) storageStatus(r *http.Request) (answer, *apiError) {
	return a.overIndex(r, func(db *storage.DB, _ func(int64) error) (encodable, []error, error) {
		s, err := db.Status()
		return jsonValue(s), nil, err
	})
}
