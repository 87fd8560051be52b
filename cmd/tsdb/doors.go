package main

import (
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/api"
	"tsdb/api/importer"
	"tsdb/api/ingest"
	"tsdb/api/ingest/door"
	"tsdb/api/limiter"
	"tsdb/api/prom"
	"tsdb/api/querylog"
	"tsdb/api/reqbody"
	"tsdb/api/rpc"
	"tsdb/query"
)

// doors returns the handlers of the HTTP server and the services of the gRPC
// server, for ingestion and queries.
func (s *service) doors() ([]func(*http.ServeMux), []func(*api.RPC)) {
	memory := memoryBytes("/")
	writes, reads := s.requestBudgets(memory)
	in := ingest.New(ingest.Options{
		DB:            s.database.get,
		Budget:        writes,
		MaxBodyBytes:  int64(s.config.limitBody),
		Limits:        s.limits(),
		Rules:         s.config.doorSettings(),
		InfluxDBLabel: s.config.influxDBLabel,
		Names:         namesOf(s.config.names.value == "underscores"),
		OTLP:          s.config.otlpSettings(),
		InfluxNaming:  s.config.influxNaming(),
		RetentionMs:   time.Duration(s.config.retention).Milliseconds(),
		Version:       version,
		Logger:        s.log,
	})
	s.ingest = in
	s.scraper = s.newScraper()
	s.engine = query.New(query.Options{
		Timeout:       time.Duration(s.config.queryTimeout),
		MaxSamples:    int(s.config.queryMaxSamples),
		MaxBytes:      int64(s.config.queryMaxBytes),
		TotalBytes:    s.config.queryTotalBytes.of(memory),
		CacheBytes:    int64(s.config.queryCacheSize),
		MaxSeries:     int64(s.config.queryMaxSeries),
		MaxRead:       int64(s.config.queryMaxRead),
		MaxConcurrent: int(s.config.queryConcurrency),
		Cores:         s.cpus,
		Lookback:      time.Duration(s.config.queryLookback),
		Parser:        s.parserOptions(),
		MaxLabelValue: int(s.config.limitLabelValue),
		Text: query.TextLimits{
			Bytes: int(s.config.queryTextBytes), Operators: int(s.config.queryTextOperators),
			Depth: int(s.config.queryTextDepth), Memory: int64(s.config.queryTextMemory),
		},
		CountName: func(metric string) {
			if db, err := s.database.get(); err == nil {
				db.Queried().Count(metric)
			}
		},
		Logger:     s.log,
		Registerer: s.registry,
	})
	queries := querylog.New(querylog.Options{SlowerThan: time.Duration(s.config.querySlow), Logger: s.log})
	s.reads, s.status = limiter.New(int(s.config.readConcurrency)), limiter.New(prom.StatusSlots)
	out := prom.New(prom.Options{
		DB:           s.database.get,
		Engine:       s.engine,
		Build:        prom.BuildInfo{Own: version},
		Started:      time.Now(),
		Retention:    s.retentionText(),
		Flags:        func() map[string]string { return s.reloader.current.Load().flagValues() },
		Config:       func() string { return s.reloader.current.Load().yaml() },
		Reloaded:     func() (time.Time, bool) { return time.UnixMilli(s.reloader.last.Load()), !s.reloader.failed.Load() },
		Targets:      s.targets,
		RelabelSteps: s.scraper.RelabelSteps,
		Replay:       s.database.replayed,
		Logger:       s.log,

		Budget:         reads,
		Lookback:       time.Duration(s.config.queryLookback),
		MaxPoints:      int(s.config.queryMaxPoints),
		Rollups:        s.config.tierNames(),
		Queries:        queries,
		Reads:          s.reads,
		Status:         s.status,
		ReadMaxSamples: int(s.config.readMaxSamples),
	})
	s.refuse, s.route = in.Refuse, in.Route
	calls := rpc.New(rpc.Options{
		DB: s.database.get, Engine: s.engine, Lookback: time.Duration(s.config.queryLookback), MaxPoints: int(s.config.queryMaxPoints),
		Rollups: s.config.tierNames(), Queries: queries, Reads: s.reads, Logger: s.log, EnableAdmin: bool(s.config.enableAdmin),
	})
	runs := int64(maxRunMemory)
	if memory > 0 {
		runs = min(runs, memory/runMemoryPart)
	}
	imports := importer.New(importer.Options{DB: s.database.get, RunBytes: runs, Logger: s.log})
	return []func(*http.ServeMux){in.Register, out.Register, imports.Register}, []func(*api.RPC){
		func(to *api.RPC) { to.ChargeTo(writes) },
		func(to *api.RPC) { in.RegisterRPC(to) },
		func(to *api.RPC) { calls.Register(to) },
	}
}

// Bounds of the memory of request bodies and the values decoded from them. On
// small machines they are a fraction of the memory, 1/writeMemoryPart and
// 1/readMemoryPart. Reads have a budget of their own, so that waiting reads do not
// block writes.
const (
	maxWriteMemory  = 256 << 20
	writeMemoryPart = 4
	maxReadMemory   = 128 << 20
	readMemoryPart  = 8
	maxRunMemory    = 256 << 20 // of an import
	runMemoryPart   = 16
)

// requestBudgets returns the budgets for the bodies of writes and of reads.
// memory is that of the machine in bytes, 0 if unknown.
func (s *service) requestBudgets(memory int64) (writes, reads *reqbody.Budget) {
	budget := func(name string, limit, part int64) *reqbody.Budget {
		if memory > 0 {
			limit = min(limit, memory/part)
		}
		return reqbody.NewBudget(reqbody.Options{Name: name, Limit: limit, MinRate: int64(s.config.webMinRate), Registerer: s.registry})
	}
	return budget("write", maxWriteMemory, writeMemoryPart), budget("read", maxReadMemory, readMemoryPart)
}

// parserOptions returns the enabled language features beyond stable PromQL.
func (s *service) parserOptions() parser.Options {
	on := s.config.queryExperimental
	return parser.Options{EnableExperimentalFunctions: on, ExperimentalDurationExpr: on, EnableExtendedRangeSelectors: on, EnableBinopFillModifiers: on}
}

// namesOf returns the form of names with underscores, or of those as they are sent.
func namesOf(underscores bool) door.Names {
	if underscores {
		return door.NamesUnderscores
	}
	return door.NamesUTF8
}

func (s *service) limits() door.Limits {
	return door.Limits{
		Labels:     int(s.config.limitLabels),
		NameBytes:  int(s.config.limitLabelName),
		ValueBytes: int(s.config.limitLabelValue),
	}
}

// targets returns the scrape targets, the server itself among them if self-scraping is
// on.
func (s *service) targets() prom.Targets {
	all := s.scraper.Targets()
	if s.self == nil {
		return all
	}
	last, interval := s.self.Last(), model.Duration(s.config.selfScrape).String()
	t := prom.Target{
		Labels:       labels.FromStrings("job", api.SelfScrapeJob, "instance", s.instance()),
		Discovered:   labels.FromStrings("job", api.SelfScrapeJob, "__address__", s.instance(), "__metrics_path__", "/metrics"),
		Pool:         api.SelfScrapeJob,
		URL:          s.url() + "metrics",
		GlobalURL:    s.url() + "metrics",
		Health:       "up",
		LastScrape:   last.Time,
		LastDuration: last.Duration,
		Interval:     interval,
		Timeout:      interval,
	}
	switch {
	case last.Time.IsZero():
		t.Health = "unknown"
	case last.Err != nil:
		t.Health, t.LastError = "down", last.Err.Error()
	}
	all.Active = append(all.Active, t)
	all.Pools = append(all.Pools, t.Pool)
	slices.Sort(all.Pools)
	all.Pools = slices.Compact(all.Pools)
	if all.DroppedCounts == nil {
		all.DroppedCounts = map[string]int{}
	}
	all.DroppedCounts[t.Pool] += 0
	return all
}
