package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, yaml string, args ...string) (*config, error) {
	t.Helper()
	if yaml != "" {
		file := filepath.Join(t.TempDir(), "tsdb.yml")
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	return loadConfig(args, &bytes.Buffer{})
}

func TestDefaults(t *testing.T) {
	c, err := load(t, "")
	if err != nil {
		t.Fatal(err)
	}
	want := `data: "./data"
graphite.tcp: ""
graphite.udp: ""
grpc: ":9202"
history.keep: "0s"
http: ":9201"
influx.bare-value: "false"
influx.db-label: "db"
influx.listen.db: ""
influx.listen.precision: "ns"
influx.prometheus-names: "false"
influx.separator: "_"
influx.tcp: ""
influx.udp: ""
ingest.max-future: "2d"
ingest.names: "utf8"
limit.body: "32MiB"
limit.label-name: "1KiB"
limit.label-value: "16KiB"
limit.labels: "128"
limit.new-series: "0"
limit.series: "0"
log.format: "text"
log.level: "info"
query.cache-size: "64MiB"
query.experimental: "false"
query.log-slower-than: "10s"
query.lookback-delta: "5m"
query.max-bytes: "1GiB"
query.max-concurrency: "20"
query.max-points: "11000"
query.max-samples: "50000000"
query.max-samples-read: "0"
query.max-series: "0"
query.max-text-bytes: "1MiB"
query.max-text-depth: "500"
query.max-text-memory: "64MiB"
query.max-text-operators: "5000"
query.max-total-bytes: "40%"
query.timeout: "2m"
remote-read.max-concurrency: "10"
remote-read.max-samples: "50000000"
retention.1h: "5y"
retention.1m: "180d"
retention.30m: "2y"
retention.5m: "1y"
retention.6h: ""
retention.raw: "30d"
retention.size: "0"
rollups: "1m,1h,6h"
self-scrape.interval: "15s"
strict: "false"
wal.keep: "0s"
wal.sync: "always"
web.config.file: ""
web.cors.origin: ""
web.enable-admin-api: "false"
web.enable-pprof: "false"
web.external-url: ""
web.hosts: ""
web.max-connections: "4096"
web.min-body-rate: "256"
`
	if got := c.yaml(); got != want {
		t.Errorf("defaults are\n%swant\n%s", got, want)
	}
	// The output of status/config is a valid configuration file.
	if _, err := load(t, c.yaml()); err != nil {
		t.Errorf("own output as a file: %v", err)
	}
}

func TestCommandLineTakesPrecedenceOverFile(t *testing.T) {
	c, err := load(t, "# comment\nretention.raw: 90d\nlimit.labels: 60\nweb.enable-pprof: true\ninflux.db-label:\n", "--limit.labels", "70", "-http=:1")
	if err != nil {
		t.Fatal(err)
	}
	if time.Duration(c.retention) != 90*24*time.Hour || c.limitLabels != 70 || !c.enablePprof || c.http != ":1" || c.influxDBLabel != "" {
		t.Errorf("got %+v", c)
	}
	for _, empty := range []string{"\n", "# nothing\n", "---\n"} {
		if _, err := load(t, empty); err != nil {
			t.Errorf("file %q: %v", empty, err)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	f := func(name, yaml string, args []string, wants ...string) {
		t.Helper()
		_, err := load(t, yaml, args...)
		if err == nil {
			t.Errorf("%s: no error", name)
			return
		}
		if code := report(&bytes.Buffer{}, "serve", err); code != exitUsage {
			t.Errorf("%s: exit code %d", name, code)
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
	f("unknown key", "data: x\nretention.rew: 1d\n", nil, "tsdb.yml:2:", `unknown key "retention.rew"`, `did you mean "retention.raw"`)
	f("two mistakes", "nonsense_here: 1\nlimit.labels: many\n", nil, "tsdb.yml:1:", "tsdb.yml:2:", `"many" is not an integer`)
	f("twice", "data: x\n\ndata: y\n", nil, "tsdb.yml:3:", "first on line 1")
	f("nested", "retention:\n  raw: 1d\n", nil, "tsdb.yml:2:", "takes a list of rules")
	f("list", "data: [a, b]\n", nil, "tsdb.yml:1:", "single value")
	f("no map", "- a\n", nil, "tsdb.yml:1:", "flag: value")
	f("no YAML", "data: x\na: b: c\n", nil, "line 2")
	f("config in config", "config: other.yml\n", nil, "unknown key")
	f("missing file", "", []string{"--config", "/nonexistent/tsdb.yml"}, "/nonexistent/tsdb.yml")
	f("unknown flag", "", []string{"--nonsense"}, "unknown flag --nonsense")
	f("no value", "", []string{"--data"}, "--data")
	f("bad duration", "", []string{"--retention.raw=fortnight"}, "--retention.raw", `"fortnight" is not a duration`)
	f("bad sync", "", []string{"--wal.sync=sometimes"}, "want always, off or interval=")
	f("bad interval", "", []string{"--wal.sync=interval=0"}, "above 0")
	f("bad size", "", []string{"--limit.body=lots"}, `"lots" is not a size`)
	f("huge size", "", []string{"--limit.body=9999999999GiB"}, "is not a size")
	f("zero", "", []string{"--limit.labels=0"}, "at least 1")
	f("no lookback", "", []string{"--query.lookback-delta=0"}, "--query.lookback-delta=", "shorter than a millisecond")
	f("short retention", "", []string{"--retention.raw=5m"}, "shorter than an hour")
	f("several", "", []string{"--retention.raw=5m", "--query.timeout=0"}, "--retention.raw", "--query.timeout")
	f("argument", "", []string{"data"}, `unexpected argument "data"`)
	f("bad share", "", []string{"--query.max-total-bytes=110%"}, "is not a percentage of the memory")
	f("no share", "", []string{"--query.max-total-bytes=some"}, `"some" is not a size`, "nor a percentage of the memory")
	f("negative", "", []string{"--query.max-bytes=-1"}, "is not a size")
	f("negative count", "", []string{"--query.max-series=-1"}, "--query.max-series")
	f("YAML 1.1's yes", "web.enable-admin-api: yes\n", nil, "tsdb.yml:1:", `"yes" is neither true nor false`)
	f("YAML 1.1's on", "web.enable-pprof: on\n", nil, `"on" is neither true nor false`)
	f("bad switch", "", []string{"--web.enable-pprof=1"}, "--web.enable-pprof", `"1" is neither true nor false`)
	f("bad size bound", "", []string{"--retention.size=120%"}, "is not a percentage of the file system")
	f("no size bound", "", []string{"--retention.size=much"}, `"much" is not a size`, "nor a percentage of the file system")
	f("no tier", "", []string{"--rollups=1m,2h"}, "--rollups", `"2h" is not a rollup: want off, or some of 1m, 5m, 30m, 1h`)
	f("raw is no rollup", "rollups: raw\n", nil, "tsdb.yml:1:", `"raw" is not a rollup`)
	f("tier twice", "", []string{"--rollups=1h,1h"}, "1h is given twice")
	f("bad tier retention", "", []string{"--retention.1h=never"}, "--retention.1h", `"never" is neither a duration such as 180d or 5y nor off`)
	f("short tier retention", "", []string{"--retention.1m=1h"}, "--retention.1m=1h is shorter than a day")
	f("no such tier", "", []string{"--retention.2h=1d"}, "--retention.2h")
	f("bad level", "", []string{"--log.level=loud"}, "debug, info, warn, error")
}

func TestValuesReadBack(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		c, err := load(t, "", args...)
		if err != nil {
			t.Errorf("%v: %v", args, err)
			return
		}
		for _, a := range args {
			name, value, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
			if got := c.flags.Lookup(name).Value.String(); got != value {
				t.Errorf("%s reads back as %q", a, got)
			}
		}
	}
	f("--wal.sync=interval=1.5s", "--retention.raw=1y", "--limit.body=1500", "--limit.label-name=3KiB")
	f("--query.max-bytes=0", "--query.max-total-bytes=0", "--query.max-series=1000000", "--query.max-samples-read=5")
	f("--query.max-bytes=5GiB", "--query.max-total-bytes=75%")
	f("--query.max-total-bytes=5GiB")
	f("--web.enable-admin-api=true", "--web.enable-pprof=false")
	f("--rollups=1m,5m,30m,1h", "--retention.1m=0s", "--retention.5m=off", "--retention.30m=10y", "--retention.1h=100y")
	f("--rollups=off", "--retention.size=80%")
	f("--retention.size=5GiB")
	f("--wal.sync=off", "--retention.raw=0s", "--limit.body=2GiB")
}

func TestSizesHaveBinaryAndDecimalUnits(t *testing.T) {
	f := func(text string, want int64) {
		t.Helper()
		var z size
		if err := z.Set(text); err != nil || int64(z) != want {
			t.Errorf("%s is %d, %v; want %d", text, int64(z), err, want)
		}
	}
	f("1GiB", 1<<30)
	f("1GB", 1e9)
	f("3 MB", 3e6)
	f("2KB", 2000)
	f("2KiB", 2048)
	f("5B", 5)
	f("5", 5)
}
