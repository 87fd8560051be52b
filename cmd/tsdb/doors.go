package main

import (
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api"
	"tsdb/api/gate"
	"tsdb/api/ingest"
	"tsdb/api/prom"
	"tsdb/api/querylog"
	"tsdb/api/rpc"
	"tsdb/query"
	"tsdb/storage"
)

// doors returns what the HTTP server and the gRPC server mount: the ways in and
// the query API.
func (s *service) doors() ([]func(*http.ServeMux), []func(*api.RPC)) {
	in := ingest.New(ingest.Options{
		DB:            s.database.get,
		MaxBodyBytes:  int64(s.config.limitBody),
		Limits:        s.limits(),
		InfluxDBLabel: s.config.influxDBLabel,
		RetentionMs:   time.Duration(s.config.retention).Milliseconds(),
		Version:       version,
		Logger:        s.log,
	})
	s.engine = query.New(query.Options{
		Timeout:       time.Duration(s.config.queryTimeout),
		MaxSamples:    int(s.config.queryMaxSamples),
		MaxBytes:      int64(s.config.queryMaxBytes),
		TotalBytes:    s.config.queryTotalBytes.of(memoryBytes("/")),
		CacheBytes:    int64(s.config.queryCacheSize),
		MaxSeries:     int64(s.config.queryMaxSeries),
		MaxRead:       int64(s.config.queryMaxRead),
		MaxConcurrent: int(s.config.queryConcurrency),
		Cores:         s.cpus,
		Logger:        s.log,
		Registerer:    s.registry,
	})
	queries := querylog.New(querylog.Options{SlowerThan: time.Duration(s.config.querySlow), Logger: s.log})
	s.reads = gate.New(int(s.config.readConcurrency))
	out := prom.New(prom.Options{
		DB:        s.database.get,
		Engine:    s.engine,
		Build:     prom.BuildInfo{Own: version},
		Started:   time.Now(),
		Retention: s.retentionText(),
		Flags:     s.config.flagValues,
		Config:    s.config.yaml,
		Targets:   s.targets,
		Logger:    s.log,

		MaxPoints:      int(s.config.queryMaxPoints),
		Queries:        queries,
		Reads:          s.reads,
		ReadMaxSamples: int(s.config.readMaxSamples),
	})
	s.refuse = in.Refuse
	calls := rpc.New(rpc.Options{DB: s.database.get, Engine: s.engine, MaxPoints: int(s.config.queryMaxPoints), Queries: queries, Reads: s.reads, Logger: s.log})
	return []func(*http.ServeMux){in.Register, out.Register}, []func(*api.RPC){
		func(to *api.RPC) { in.RegisterRPC(to) },
		func(to *api.RPC) { calls.Register(to) },
	}
}

func (s *service) limits() storage.Limits {
	return storage.Limits{
		Labels:     int(s.config.limitLabels),
		NameBytes:  int(s.config.limitLabelName),
		ValueBytes: int(s.config.limitLabelValue),
	}
}

// targets lists what the server scrapes: itself, or nothing.
func (s *service) targets() []prom.Target {
	if s.self == nil {
		return nil
	}
	last := s.self.Last()
	t := prom.Target{
		Labels:       labels.FromStrings("job", api.SelfScrapeJob, "instance", s.instance()),
		Discovered:   labels.FromStrings("job", api.SelfScrapeJob, "__address__", s.instance(), "__metrics_path__", "/metrics"),
		Pool:         api.SelfScrapeJob,
		URL:          s.url() + "metrics",
		LastScrape:   last.Time,
		LastDuration: last.Duration,
		Interval:     time.Duration(s.config.selfScrape),
		Timeout:      time.Duration(s.config.selfScrape),
	}
	if last.Err != nil {
		t.LastError = last.Err.Error()
	}
	return []prom.Target{t}
}
