package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const doorRulesYAML = `
limit.series: 1000
relabel_configs:
  - {source_labels: [env], regex: dev, action: drop}
  - {target_label: site, replacement: home}
doors:
  influx:
    limit.series: 5
    limit.new-series: 6
    limit.labels: 7
    limit.label-name: 1KiB
    limit.label-value: 2KiB
    relabel_configs: [{regex: secret, action: labeldrop}]
  text:
`

func TestDoorRules(t *testing.T) {
	c, err := load(t, doorRulesYAML)
	if err != nil {
		t.Fatal(err)
	}
	s := c.doorSettings()
	in := s.Doors["influx"]
	if len(s.Relabel) != 2 || s.Relabel[0].Action != "drop" || s.Relabel[1].TargetLabel != "site" || s.Series.Active != 1000 || s.Series.NewPerHour != 0 {
		t.Errorf("%+v", s)
	}
	if len(in.Relabel) != 1 || in.Series != 5 || in.NewPerHour != 6 || in.Limits.Labels != 7 || in.Limits.NameBytes != 1<<10 || in.Limits.ValueBytes != 2<<10 {
		t.Errorf("%+v", in)
	}
	// The configuration that is shown reads as the same rules.
	again, err := load(t, c.yaml())
	if err != nil || len(again.doors.doors) != 2 || again.doors.yaml != c.doors.yaml {
		t.Errorf("%v: %s", err, c.yaml())
	}
	if c, err := load(t, "relabel_configs:\ndoors:\n"); err != nil || len(c.doorSettings().Doors) != 0 {
		t.Errorf("%v", err)
	}
}

func TestDoorRulesNameTheLineOfAMistake(t *testing.T) {
	for text, want := range map[string]string{
		"relabel_configs: x":                                          ":1: key \"relabel_configs\" takes a list",
		"relabel_configs:\n- {action: dropp}":                         ":2: unknown relabel action",
		"relabel_configs:\n- {target: x}":                             ":2: unknown key \"target\"",
		"relabel_configs:\n- {regex: '('}":                            ":2: error parsing regexp",
		"relabel_configs:\n- {action: hashmod, target_label: a}":      ":2: relabel configuration for hashmod",
		"relabel_configs:\n- {action: drop, action: keep}":            ":2: key \"action\" is given twice",
		"doors: [influx]":                                             ":1: key \"doors\" takes some of the keys csv, datadog, graphite, grpc, influx, json_lines, opentsdb, otlp, remote_write, scrape, text",
		"doors:\n  graphit: {}":                                       ":2: unknown key \"graphit\"",
		"doors:\n  csv: {limit.serie: 1}":                             ":2: unknown key \"limit.serie\"",
		"doors:\n  csv:\n    limit.series: many":                      ":3: key \"limit.series\"",
		"doors:\n  csv:\n    relabel_configs: [{action: keep, x: y}]": ":3: unknown key \"x\"",
		"relabel_configs: []\nrelabel_configs: []":                    "is given twice",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A reload changes rules of doors and limits of series, and names them.
func TestDoorRulesAreReloaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tsdb.yml")
	read := func(text string) *config {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig([]string{"--config", file}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := read("limit.series: 5\n")
	next, waiting, changed, err := merge(old, read("limit.series: 6\nrelabel_configs: [{regex: x, action: labeldrop}]\n"))
	if err != nil || len(waiting) != 0 || strings.Join(changed, ", ") != "--limit.series, relabel_configs and doors" || next.doorSettings().Series.Active != 6 {
		t.Errorf("waiting %q, changed %q, %v", waiting, changed, err)
	}
}
