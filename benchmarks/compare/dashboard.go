package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// panelQuestion is what a panel of a dashboard asks.
type panelQuestion struct {
	panel string // its title
	question
}

// readDashboard returns the questions of a dashboard in a file of Grafana over a span,
// with all values of its variables selected, as Grafana asks them of a data source
// with this scrape interval for panels that are points wide.
func readDashboard(file string, span, scrape time.Duration, points int) ([]panelQuestion, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var dashboard struct {
		Templating struct{ List []struct{ Name, Type string } }
		Panels     []struct {
			Title, Interval string
			Targets         []struct {
				Expr    string
				Instant bool
			}
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var all []panelQuestion
	for _, p := range dashboard.Panels {
		step := grafanaStep(span, points)
		if p.Interval != "" {
			least, err := model.ParseDuration(p.Interval)
			if err != nil {
				return nil, fmt.Errorf("%s: panel %q: %w", file, p.Title, err)
			}
			step = max(step, time.Duration(least))
		}
		replaced := []string{"$__rate_interval", promDuration(step + scrape), "$__interval", promDuration(step)}
		for _, v := range dashboard.Templating.List {
			replaced = append(replaced, "$"+v.Name, ".*")
		}
		for _, t := range p.Targets {
			q := question{query: strings.NewReplacer(replaced...).Replace(t.Expr), span: span, step: step, instant: t.Instant}
			all = append(all, panelQuestion{p.Title, q})
		}
	}
	return all, nil
}

func promDuration(d time.Duration) string { return model.Duration(d).String() }

// grafanaStep returns the step that Grafana chooses for a span of two days to two years in a
// panel with a maximum number of points. The minimum interval of the panel is not applied.
func grafanaStep(span time.Duration, points int) time.Duration {
	const hour = time.Hour
	exact := span / time.Duration(max(1, points))
	for _, x := range []struct{ below, step time.Duration }{
		{12*time.Minute + 30*time.Second, 10 * time.Minute},
		{17*time.Minute + 30*time.Second, 15 * time.Minute},
		{25 * time.Minute, 20 * time.Minute},
		{45 * time.Minute, 30 * time.Minute},
		{90 * time.Minute, hour},
		{150 * time.Minute, 2 * hour},
		{270 * time.Minute, 3 * hour},
		{9 * hour, 6 * hour},
		{24 * hour, 12 * hour},
	} {
		if exact < x.below {
			return x.step
		}
	}
	return day
}
