package prom

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"tsdb/internal/match"
	"tsdb/internal/model"
)

// Targets are what the server scrapes. The zero value is nothing.
type Targets struct {
	Pools         []string // names, sorted
	Active        []Target // sorted by pool
	Dropped       []DroppedTarget
	DroppedCounts map[string]int // by pool, also of targets that are not listed
}

// Target is a scrape target of the server.
type Target struct {
	Labels     labels.Labels // of its series
	Discovered labels.Labels // before relabelling
	Pool       string
	URL        string
	GlobalURL  string // as other hosts reach it

	Health       string // up, down, or unknown before the first scrape
	LastError    string // "" = the last scrape succeeded
	LastScrape   time.Time
	LastDuration time.Duration
	Interval     string // in Prometheus' form, as 1m30s
	Timeout      string

	Metadata func() map[string]model.Metadata // of its metrics; nil = none
}

// DroppedTarget is a target that relabelling has dropped.
type DroppedTarget struct {
	Discovered labels.Labels
	Pool       string
}

// RelabelStep is the effect of one relabelling rule.
type RelabelStep struct {
	Rule   *relabel.Config `json:"rule"`
	Output labels.Labels   `json:"output"`
	Keep   bool            `json:"keep"`
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

type droppedView struct {
	DiscoveredLabels labels.Labels `json:"discoveredLabels"`
	ScrapePool       string        `json:"scrapePool"`
}

func (a *API) listTargets() Targets {
	if a.opts.Targets == nil {
		return Targets{}
	}
	return a.opts.Targets()
}

// targets lists the scrape targets.
func (a *API) targets(r *http.Request) (answer, *apiError) {
	state, pool := strings.ToLower(r.Form.Get("state")), r.Form.Get("scrapePool")
	all := a.listTargets()
	active, dropped := []targetView{}, []droppedView{}
	var counts map[string]int
	for _, t := range all.Active {
		if !showsActive(state) || pool != "" && pool != t.Pool {
			continue
		}
		active = append(active, targetView{
			DiscoveredLabels: t.Discovered, Labels: t.Labels, ScrapePool: t.Pool, ScrapeURL: t.URL, GlobalURL: t.GlobalURL,
			LastError: t.LastError, LastScrape: t.LastScrape, LastScrapeDuration: t.LastDuration.Seconds(), Health: t.Health,
			ScrapeInterval: t.Interval, ScrapeTimeout: t.Timeout,
		})
	}
	if showsDropped(state) {
		counts = all.DroppedCounts
		if counts == nil {
			counts = map[string]int{}
		}
		for _, t := range all.Dropped {
			if pool == "" || pool == t.Pool {
				dropped = append(dropped, droppedView{t.Discovered, t.Pool})
			}
		}
	}
	return answer{data: jsonValue(struct {
		Active  []targetView   `json:"activeTargets"`
		Dropped []droppedView  `json:"droppedTargets"`
		Counts  map[string]int `json:"droppedTargetCounts"`
	}{active, dropped, counts})}, nil
}

// scrapePools lists the names of the scrape pools.
func (a *API) scrapePools(*http.Request) (answer, *apiError) {
	return answer{data: jsonValue(struct {
		Pools []string `json:"scrapePools"`
	}{append([]string{}, a.listTargets().Pools...)})}, nil
}

// relabelSteps shows what each relabelling rule of a pool makes of labels.
func (a *API) relabelSteps(r *http.Request) (answer, *apiError) {
	pool, text := r.Form.Get("scrapePool"), r.Form.Get("labels")
	switch {
	case pool == "":
		return answer{}, badData(errors.New("no scrapePool parameter provided"))
	case text == "":
		return answer{}, badData(errors.New("no labels parameter provided"))
	}
	var ls labels.Labels
	if err := json.Unmarshal([]byte(text), &ls); err != nil {
		return answer{}, badData(fmt.Errorf("error parsing labels: %w", err))
	}
	err := fmt.Errorf("scrape pool %q not found", pool)
	var steps []RelabelStep
	if a.opts.RelabelSteps != nil {
		steps, err = a.opts.RelabelSteps(pool, ls)
	}
	if err != nil {
		return answer{}, badData(fmt.Errorf("error retrieving scrape config: %w", err))
	}
	return answer{data: jsonValue(struct {
		Steps []RelabelStep `json:"steps"`
	}{append([]RelabelStep{}, steps...)})}, nil
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
	for _, t := range a.listTargets().Active {
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
