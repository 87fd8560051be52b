package prom

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"tsdb/api/prom/promtest"
	tsdbmodel "tsdb/internal/model"
)

func contextWithCancel(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	return r.WithContext(ctx), cancel
}

// TestClientGolangReadsEveryAnswer: the client library of Prometheus decodes the
// response to each of its requests.
func TestClientGolangReadsEveryAnswer(t *testing.T) {
	s := newServer(t, Options{
		Build: BuildInfo{Own: "x"}, Started: time.Now(), Retention: "30d",
		Flags: func() map[string]string { return map[string]string{"a": "b"} },
		Targets: func() Targets {
			return Targets{Active: []Target{{Pool: "tsdb", URL: "http://x", Health: "up", LastScrape: time.Now(), Metadata: func() map[string]tsdbmodel.Metadata {
				return map[string]tsdbmodel.Metadata{"up": {Type: "gauge"}}
			}}}}
		},
	})
	b := s.db.NewBatch("test", tsdbmodel.DefaultTenant)
	b.Metadata("edge", tsdbmodel.Metadata{Type: "gauge", Help: "h"})
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	c, err := api.NewClient(api.Config{Address: s.URL, Client: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	a := v1.NewAPI(c)
	end := time.Unix(promtest.End, 0)
	hour := v1.Range{Start: end.Add(-time.Hour), End: end, Step: 15 * time.Second}

	ok := func(what string, err error, good bool) {
		t.Helper()
		if err != nil || !good {
			t.Errorf("%s: %v", what, err)
		}
	}
	value, warnings, err := a.Query(ctx, "http_requests_total", end)
	vector, isVector := value.(model.Vector)
	ok("vector", err, isVector && len(vector) == 6 && len(warnings) == 0)
	value, _, err = a.Query(ctx, `latency{kind="int"}`, end)
	vector, isVector = value.(model.Vector)
	ok("histogram", err, isVector && len(vector) == 1 && vector[0].Histogram != nil && len(vector[0].Histogram.Buckets) > 3)
	value, _, err = a.Query(ctx, "1+1", end)
	scalar, isScalar := value.(*model.Scalar)
	ok("scalar", err, isScalar && scalar.Value == 2)
	value, _, err = a.QueryRange(ctx, "edge or latency", hour)
	matrix, isMatrix := value.(model.Matrix)
	ok("matrix", err, isMatrix && len(matrix) == 5)
	_, warnings, err = a.Query(ctx, "quantile(7, edge)", end, v1.WithTimeout(time.Minute), v1.WithLookbackDelta(time.Minute), v1.WithLimit(1), v1.WithStats("all"))
	ok("options", err, len(warnings) == 1)

	names, _, err := a.LabelNames(ctx, nil, hour.Start, hour.End)
	ok("label names", err, len(names) == 8)
	names, _, err = a.LabelNames(ctx, []string{"edge"}, time.Time{}, time.Time{})
	ok("label names of all time", err, len(names) == 1)
	values, _, err := a.LabelValues(ctx, "code", []string{"http_requests_total"}, hour.Start, hour.End)
	ok("label values", err, len(values) == 3)
	values, _, err = a.LabelValues(ctx, "service.name", nil, time.Time{}, time.Time{})
	ok("label values in UTF-8", err, len(values) == 5)
	sets, _, err := a.Series(ctx, []string{"http_requests_total", "edge"}, hour.Start, hour.End, v1.WithLimit(100))
	ok("series", err, len(sets) == 7)
	exemplars, err := a.QueryExemplars(ctx, "http_requests_total", hour.Start, hour.End)
	ok("exemplars", err, len(exemplars) == 6 && len(exemplars[0].Exemplars) == 6)
	metadata, err := a.Metadata(ctx, "", "")
	ok("metadata", err, len(metadata["edge"]) == 1)

	rules, err := a.Rules(ctx, nil)
	ok("rules", err, len(rules.Groups) == 0)
	alerts, err := a.Alerts(ctx)
	ok("alerts", err, len(alerts.Alerts) == 0)
	managers, err := a.AlertManagers(ctx)
	ok("alertmanagers", err, len(managers.Active) == 0)
	targets, err := a.Targets(ctx)
	ok("targets", err, len(targets.Active) == 1 && targets.Active[0].Health == v1.HealthGood)
	targetMetadata, err := a.TargetsMetadata(ctx, "", "", "")
	ok("targets' metadata", err, len(targetMetadata) == 1)
	build, err := a.Buildinfo(ctx)
	ok("buildinfo", err, build.Version == APIVersion)
	runtime, err := a.Runtimeinfo(ctx)
	ok("runtimeinfo", err, runtime.StorageRetention == "30d")
	flags, err := a.Flags(ctx)
	ok("flags", err, flags["a"] == "b")
	_, err = a.Config(ctx)
	ok("config", err, true)
	cardinality, err := a.TSDB(ctx)
	ok("tsdb", err, cardinality.HeadStats.NumSeries == 20)

	var refused *v1.Error
	if _, _, err = a.Query(ctx, "up{", end); !errors.As(err, &refused) || refused.Type != v1.ErrBadData {
		t.Errorf("parse error: %v", err)
	}
	if _, _, err = a.Query(ctx, "http_requests_total + on(job) http_requests_total", end); !errors.As(err, &refused) || refused.Type != v1.ErrExec {
		t.Errorf("many to many: %v", err)
	}
}
