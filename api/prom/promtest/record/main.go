// Record records the answers of Prometheus' own HTTP API to the requests of package
// promtest:
//
//	cd api/prom/promtest/record && go run . > ../prometheus.golden
//
// It is a separate module because Prometheus' handlers need thirty modules more than
// the rest of the project.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"time"

	grafana "github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/util/teststorage"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"tsdb/api/prom/promtest"
)

func main() {
	if err := record(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(w io.Writer) error {
	store, err := teststorage.NewWithError()
	if err != nil {
		return err
	}
	defer store.Close()
	if err := promtest.Load(store); err != nil {
		return err
	}
	server := httptest.NewServer(reference(store))
	defer server.Close()
	var out []byte
	for _, c := range promtest.Cases() {
		a, err := ask(server, c)
		if err != nil {
			return err
		}
		out = promtest.AppendAnswer(out, c, a)
	}
	_, err = w.Write(out)
	return err
}

func ask(server *httptest.Server, c promtest.Case) (promtest.Answer, error) {
	r, err := c.Request(server.URL)
	if err != nil {
		return promtest.Answer{}, err
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		return promtest.Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return promtest.Answer{}, err
	}
	return promtest.Answer{
		Status:      resp.StatusCode,
		ContentType: resp.Header.Get("Content-Type"),
		Body:        string(timings.ReplaceAll(body, []byte(`"timings":{}`))),
	}, nil
}

// timings matches the timings in an answer, which differ each time.
var timings = regexp.MustCompile(`"timings":\{[^}]*\}`)

// reference returns Prometheus' API with the settings of a server without flags.
func reference(store *teststorage.TestStorage) http.Handler {
	options := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: 2 * time.Minute, LookbackDelta: 5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: options,
	})
	api := v1.NewAPI(
		engine, store, nil, nil, store,
		func(context.Context) v1.ScrapePoolsRetriever { return nothing{} },
		func(context.Context) v1.TargetRetriever { return nothing{} },
		func(context.Context) v1.AlertmanagerRetriever { return nothing{} },
		func() config.Config { return config.Config{} },
		map[string]string{}, v1.GlobalURLOptions{},
		func(h http.HandlerFunc) http.HandlerFunc { return h },
		nil, "", false, false, 0, slog.New(slog.DiscardHandler),
		func(context.Context) v1.RulesRetriever { return nothing{} },
		0, 0, 0, false, grafana.MustCompile("^(?:.*)$"),
		func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, nil },
		&v1.PrometheusVersion{}, nil, nil,
		prometheus.NewRegistry(), prometheus.NewRegistry(), nil,
		false, nil, false, false, false, false,
		5*time.Minute, false, false, nil, nil, v1.OpenAPIOptions{}, options,
	)
	router := route.New().WithPrefix("/api/v1")
	api.Register(router)
	return router
}

// nothing is a Prometheus without targets, rules and alertmanagers.
type nothing struct{}

func (nothing) ScrapePools() []string                                 { return nil }
func (nothing) TargetsActive() map[string][]*scrape.Target            { return nil }
func (nothing) TargetsDropped() map[string][]*scrape.Target           { return nil }
func (nothing) TargetsDroppedCounts() map[string]int                  { return map[string]int{} }
func (nothing) ScrapePoolConfig(string) (*config.ScrapeConfig, error) { return nil, nil }
func (nothing) Alertmanagers() []*url.URL                             { return nil }
func (nothing) DroppedAlertmanagers() []*url.URL                      { return nil }
func (nothing) RuleGroups() []*rules.Group                            { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule                  { return nil }
