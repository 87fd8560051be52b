package scrape

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) (*Config, error) {
	t.Helper()
	return Parse(text, "tsdb.yml", t.TempDir(), slog.New(slog.DiscardHandler))
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := parse(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMistakesAreNamedWithTheirLines(t *testing.T) {
	for text, want := range map[string]string{
		"scrape_configs: x": "tsdb.yml:1: cannot unmarshal",
		"scrape_configs:\n- job_name: a\n  static_config: []":                           `tsdb.yml:3: unknown key "static_config"`,
		"scrape_configs:\n- job_name: a\n  consul_sd_configs: []":                       `tsdb.yml:3: unknown key "consul_sd_configs": this binary discovers targets by static_configs, dns_sd_configs, file_sd_configs, http_sd_configs; build it with -tags alldiscovery`,
		"scrape_configs:\n- job_name: a\n- job_name: a":                                 `tsdb.yml: found multiple scrape configs with job name "a"`,
		"scrape_configs:\n- {}":                                                         "tsdb.yml: job_name is empty",
		"scrape_configs:\n- job_name: a\n  scrape_timeout: 2m":                          "tsdb.yml: scrape timeout greater than scrape interval",
		"scrape_configs:\n- job_name: a\n  relabel_configs: [{action: dropp}]":          "unknown relabel action",
		"scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['http://x/y']}]": `tsdb.yml: "http://x/y" is not a valid hostname`,
		"global: {scrape_intervall: 1s}":                                                `tsdb.yml:1: unknown key "scrape_intervall"`,
		"global: {evaluation_interval: 1m}":                                             `key "evaluation_interval" of global has no meaning here`,
		"scrape_configs: [":                                                             "tsdb.yml:1: did not find",
		"global: {scrape_interval: 1s, scrape_interval: 2s}":                            `tsdb.yml:1: key "scrape_interval" is given twice`,
		"rule_files: [a]\nalerting: 3":                                                  "tsdb.yml:2: cannot unmarshal",
	} {
		if _, err := parse(t, text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestFilesOfJobsAreRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yml", "scrape_configs: [{job_name: a, file_sd_configs: [{files: [x.json]}]}]")
	const text = "global: {scrape_interval: 7s, external_labels: {site: s}}\nscrape_config_files: ['*.yml']\nscrape_configs:\n- job_name: b\n  basic_auth: {username: u, password: secret}\n"
	c, err := Parse(text, "tsdb.yml", dir, slog.New(slog.DiscardHandler))
	if err != nil || c.Jobs() != 2 || !c.HasJob("a") || !c.HasJob("b") || c.HasJob("c") {
		t.Fatalf("%+v, %v", c, err)
	}
	all := c.resolved(1 << 20)
	if len(all.ScrapeConfigs) != 2 || len(all.ScrapeConfigFiles) != 0 || all.ScrapeConfigs[1].ScrapeInterval.String() != "7s" || all.ScrapeConfigs[0].BodySizeLimit != 1<<20 {
		t.Errorf("%+v", all.ScrapeConfigs)
	}
	shown := c.YAML()
	if strings.Contains(shown, "secret\n") || !strings.Contains(shown, "<secret>") || !strings.Contains(shown, "*.yml") || strings.Contains(shown, "evaluation") {
		t.Errorf("%s", shown)
	}
	// What is shown reads as the same configuration, secrets apart.
	if again, err := Parse(shown, "tsdb.yml", dir, slog.New(slog.DiscardHandler)); err != nil || again.YAML() != shown {
		t.Errorf("%v\n%s", err, shown)
	}
	write("b.yml", "scrape_configs: [{job_name: b}]")
	if _, err := Parse(text, "tsdb.yml", dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), `found multiple scrape configs with job name "b"`) {
		t.Error(err)
	}
}

func TestCheckFindsMissingFiles(t *testing.T) {
	c := mustParse(t, "scrape_configs:\n- job_name: a\n  tls_config: {ca_file: nope.pem}\n- job_name: b\n  scrape_failure_log_file: no/dir/x.log\n- job_name: c\n")
	err := c.Check()
	if err == nil || !strings.Contains(err.Error(), `job "a": `) || !strings.Contains(err.Error(), "nope.pem") || !strings.Contains(err.Error(), `job "b": `) || strings.Contains(err.Error(), `job "c"`) {
		t.Error(err)
	}
}
