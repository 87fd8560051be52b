package prom

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
)

// Target is a scrape target of the server.
type Target struct {
	Labels     labels.Labels // of its series
	Discovered labels.Labels // before relabelling
	Pool       string
	URL        string

	LastError    string // "" = the last scrape succeeded
	LastScrape   time.Time
	LastDuration time.Duration
	Interval     time.Duration
	Timeout      time.Duration

	Metadata func() map[string]model.Metadata // of its metrics; nil = none
}

// health returns the health of a target, "unknown" before its first scrape.
func (t *Target) health() string {
	switch {
	case t.LastScrape.IsZero():
		return "unknown"
	case t.LastError != "":
		return "down"
	}
	return "up"
}

type targetView struct {
	DiscoveredLabels   labels.Labels `json:"discoveredLabels"`
	Labels             labels.Labels `json:"labels"`
	ScrapePool         string        `json:"scrapePool"`
	ScrapeURL          string        `json:"scrapeUrl"`
	GlobalURL          string        `json:"globalUrl"`
	LastError          string        `json:"lastError"`
	LastScrape         time.Time     `json:"lastScrape"`
	LastScrapeDuration float64       `json:"lastScrapeDuration"` // seconds
	Health             string        `json:"health"`
	ScrapeInterval     string        `json:"scrapeInterval"`
	ScrapeTimeout      string        `json:"scrapeTimeout"`
}

// promDuration prints a duration as Prometheus does: 1m, not 1m0s.
func promDuration(d time.Duration) string { return prommodel.Duration(d).String() }

func (a *API) listTargets() []Target {
	if a.opts.Targets == nil {
		return nil
	}
	return a.opts.Targets()
}

// targets lists the scrape targets. None is ever dropped.
func (a *API) targets(r *http.Request) (answer, *apiError) {
	active, dropped := []targetView{}, map[string]int{}
	state, pool := strings.ToLower(r.Form.Get("state")), r.Form.Get("scrapePool")
	for _, t := range a.listTargets() {
		if showsDropped(state) {
			dropped[t.Pool] = 0
		}
		if !showsActive(state) || pool != "" && pool != t.Pool {
			continue
		}
		active = append(active, targetView{
			DiscoveredLabels: t.Discovered, Labels: t.Labels, ScrapePool: t.Pool, ScrapeURL: t.URL, GlobalURL: t.URL,
			LastError: t.LastError, LastScrape: t.LastScrape, LastScrapeDuration: t.LastDuration.Seconds(), Health: t.health(),
			ScrapeInterval: promDuration(t.Interval), ScrapeTimeout: promDuration(t.Timeout),
		})
	}
	return answer{data: jsonValue(struct {
		Active  []targetView   `json:"activeTargets"`
		Dropped []targetView   `json:"droppedTargets"`
		Counts  map[string]int `json:"droppedTargetCounts"`
	}{active, []targetView{}, dropped})}, nil
}

func showsActive(state string) bool  { return state == "" || state == "any" || state == "active" }
func showsDropped(state string) bool { return state == "" || state == "any" || state == "dropped" }

// targetMetadata lists the metadata of the metrics of targets.
func (a *API) targetMetadata(r *http.Request) (answer, *apiError) {
	limit, bad := number(r, "limit", -1)
	if bad != nil {
		return answer{}, bad
	}
	var matchers []*match.Matcher
	if s := r.Form.Get("match_target"); s != "" {
		parsed, err := a.parser.ParseMetricSelector(s)
		if err == nil {
			matchers, err = match.Compiled(parsed)
		}
		if err != nil {
			return answer{}, badParam("match_target", err)
		}
	}
	type row struct {
		Target labels.Labels `json:"target"`
		Metric string        `json:"metric,omitempty"`
		metricMetadata
	}
	metric := r.Form.Get("metric")
	rows := []row{}
	for _, t := range a.listTargets() {
		if limit >= 0 && len(rows) >= limit {
			break
		}
		if t.Metadata == nil || !match.All(matchers, t.Labels) {
			continue
		}
		known := t.Metadata()
		if metric != "" {
			if m, ok := known[metric]; ok {
				rows = append(rows, row{Target: t.Labels, metricMetadata: metadataOf(m)})
			}
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(known)) {
			rows = append(rows, row{t.Labels, name, metadataOf(known[name])})
		}
	}
	return answer{data: jsonValue(rows)}, nil
}

// alertmanagers lists nothing: this server sends no alerts.
func (a *API) alertmanagers(*http.Request) (answer, *apiError) {
	return answer{data: jsonValue(struct {
		Active  []string `json:"activeAlertmanagers"`
		Dropped []string `json:"droppedAlertmanagers"`
	}{[]string{}, []string{}})}, nil
}

// alerts lists nothing: this server evaluates no rules.
func (a *API) alerts(*http.Request) (answer, *apiError) {
	return answer{data: func(e *encoder) { e.raw(`{"alerts":[]}`) }}, nil
}

// rules lists nothing, but validates the parameters as Prometheus does.
func (a *API) rules(r *http.Request) (answer, *apiError) {
	if _, err := a.selectors(r); err != nil {
		return answer{}, badData(err)
	}
	switch s := strings.ToLower(r.Form.Get("type")); s {
	case "", "alert", "record":
	default:
		return answer{}, badParam("type", fmt.Errorf("not supported value %q", s))
	}
	return answer{data: func(e *encoder) { e.raw(`{"groups":[]}`) }}, nil
}
