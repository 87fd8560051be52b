package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/storage"
)

func TestRetentionRulesOfTheFile(t *testing.T) {
	c, err := load(t, `retention.raw: 90d
retention:
  - {match: '{env="dev"}', raw: 3d, 1m: 10d, 1h: off}
  - match: ['up{job="it''s"}', '{team=~"a|b", env!=""}']
    1h: 0
`)
	if err != nil {
		t.Fatal(err)
	}
	r := c.retentionOf()
	if r.RawMs != 90*model.DayMs || len(r.Rules) != 2 {
		t.Fatalf("%+v", r)
	}
	if k := r.Rules[0].Keep; len(k) != 4 || k[block.Hours6] != storage.KeepNone || k[block.Raw] != 3*model.DayMs || k[block.Minute] != 10*model.DayMs || k[block.Hour] != storage.KeepNone {
		t.Errorf("first rule: %v", k)
	}
	if k := r.Rules[1].Keep; len(k) != 2 || k[block.Hour] != 0 || k[block.Hours6] != 0 || len(r.Rules[1].Selectors) != 2 {
		t.Errorf("second rule: %v", r.Rules[1])
	}
	if c, err := load(t, "rollups: 1m,1h\nretention:\n - {match: x, 1h: 9d}\n"); err != nil || len(c.retentionOf().Rules[0].Keep) != 1 {
		t.Error("a rule names a tier that is not there", err)
	}
	if c, err := load(t, "retention:\n - {match: x, 1h: 9d, 6h: 99d}\n"); err != nil || c.retentionOf().Rules[0].Keep[block.Hours6] != 99*model.DayMs {
		t.Error("a rule cannot keep another tier longer than hours", err)
	}
	again, err := load(t, c.yaml())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.yaml(), c.yaml(); got != want {
		t.Errorf("own output as a file gives\n%swant\n%s", got, want)
	}
	if c, err := load(t, "retention:\n"); err != nil || c.rulesYAML() != "" {
		t.Error("an empty list", err)
	}
}

func TestMistakesInRetentionRulesAreNamed(t *testing.T) {
	f := func(name, yaml string, wants ...string) {
		t.Helper()
		_, err := load(t, yaml)
		if err == nil {
			t.Errorf("%s: no error", name)
			return
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
	f("no list", "retention: 3d\n", "tsdb.yml:1:", "takes a list of rules", "retention.raw")
	f("no rule", "retention:\n - 3d\n", "tsdb.yml:2:", "has the form")
	f("no match", "retention:\n - {raw: 3d}\n", "tsdb.yml:2:", "needs the key match")
	f("nothing named", "retention:\n - {match: '{a=\"b\"}'}\n", "tsdb.yml:2:", "names the retention")
	f("no selector", "retention:\n - match: '{a=\"b\"'\n   raw: 3d\n", "tsdb.yml:2:", "is not a selector")
	f("everything", "retention:\n - match: '{}'\n   raw: 3d\n", "tsdb.yml:2:", "is not a selector")
	f("a map", "retention:\n - match: {env: dev}\n   raw: 3d\n", "tsdb.yml:2:", "in quotes")
	f("empty list", "retention:\n - match: []\n   raw: 3d\n", "needs a selector")
	f("unknown tier", "retention:\n - match: x\n   2h: 3d\n", "tsdb.yml:3:", `unknown key "2h"`, "1m, 5m, 30m, 1h")
	f("bad duration", "retention:\n - match: x\n   1h: never\n", "tsdb.yml:3:", `"never" is neither`)
	f("raw off", "retention:\n - match: x\n   raw: off\n", "tsdb.yml:3:", "cannot be off")
	f("short", "retention:\n - match: x\n   raw: 5m\n", "tsdb.yml:3:", "shorter than an hour")
	f("short tier", "retention:\n - match: x\n   1m: 5h\n", "tsdb.yml:3:", "shorter than a day")
	f("key twice", "retention:\n - {match: x, raw: 3d, raw: 4d}\n", "tsdb.yml:2:", "twice")
	f("list twice", "retention:\nretention:\n - {match: x, raw: 3d}\n", "tsdb.yml:2:", "first on line 1")
	f("two mistakes", "retention:\n - {match: x, raw: y}\n - {match: x, 9h: 1d}\n", "tsdb.yml:2:", "tsdb.yml:3:")
}

func TestRulesOfTiersThatAreOffWarn(t *testing.T) {
	c, err := load(t, "rollups: 1h\nretention:\n - {match: x, 1m: 10d, 1h: 9d}\n")
	if err != nil {
		t.Fatal(err)
	}
	if w := c.warnings(); len(w) != 1 || !strings.Contains(w[0], "tsdb.yml:3: 1m: 10d has no effect") {
		t.Errorf("%q", w)
	}
}

// What a reload changes, and what needs a restart.
func TestMergeOfAReloadedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tsdb.yml")
	read := func(yaml string) *config {
		t.Helper()
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig([]string{"--config", file, "--retention.1m=90d"}, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := read("retention.raw: 10d\nlimit.labels: 60\nretention.1h: 1y\n")
	next, waiting, changed, err := merge(old, read("retention.raw: 20d\nlimit.labels: 70\nretention.1h: off\nretention.1m: 5d\nretention:\n - {match: x, raw: 3d}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(waiting, []string{"--limit.labels", "--retention.1h"}) || !slices.Equal(changed, []string{"--retention.raw", "retention"}) {
		t.Errorf("waiting %q, changed %q", waiting, changed)
	}
	if next.limitLabels != 60 || next.retentionOf().RawMs != 20*model.DayMs || next.retentionOf().TierMs[block.Hour] != 365*model.DayMs || next.retentionOf().TierMs[block.Minute] != 90*model.DayMs || len(next.rules) != 1 {
		t.Errorf("in force:\n%s", next.yaml())
	}
}
