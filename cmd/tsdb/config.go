package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tsdb/api"
	"tsdb/api/ingest/influx"
	"tsdb/api/scrape"
	"tsdb/partition/block"
)

// config holds the settings of serve. The flags of flagSet document the fields.
type config struct {
	data, http, grpc, file string
	args                   []string // of the command line

	rules []retentionRule // of the configuration file
	doors doorRules       // of the configuration file
	otlp  otlpSection     // of the configuration file

	scrape *scrape.Config // of the configuration file

	retention     duration // of raw samples
	retentionSize diskShare
	rollups       tierList
	tierRetention map[block.Tier]*tierRetention // of every possible rollup
	maxFuture     duration
	names         choice // of the doors of dotted names

	graphiteTCP, graphiteUDP string
	walSync                  walSync
	walKeep                  duration
	historyKeep              duration

	selfScrape duration

	queryTimeout       duration
	queryMaxSamples    count
	queryMaxBytes      sizeOrNone
	queryTotalBytes    memoryShare
	queryCacheSize     sizeOrNone
	queryMaxSeries     countOrNone
	queryMaxRead       countOrNone
	queryMaxPoints     count
	queryConcurrency   count
	querySlow          duration
	queryLookback      duration
	queryTextBytes     size
	queryTextOperators count
	queryTextDepth     count
	queryTextMemory    size
	queryExperimental  bool

	readMaxSamples  count
	readConcurrency count

	limitSeries     countOrNone
	limitNewSeries  countOrNone
	limitLabels     count
	limitLabelName  size
	limitLabelValue size
	limitBody       size

	influxDBLabel         string
	influxSeparator       string
	influxBareValue       toggle
	influxPrometheusNames toggle
	influxTCP, influxUDP  string
	influxListenDB        string
	influxListenPrecision choice

	strict      toggle
	enableAdmin toggle
	enablePprof toggle
	webConfig   string
	webMinRate  sizeOrNone
	webMaxConns count

	webExternalURL string
	webHosts       string // separated by commas
	webCORSOrigin  string

	logLevel  choice
	logFormat choice

	flags *flag.FlagSet
}

const serveSynopsis = "tsdb serve [flags]"

// flagSet returns the flags of serve, which set the fields of c. It sets the
// fields to their defaults.
func (c *config) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	variable := func(v flag.Value, name, value, text string) {
		if err := v.Set(value); err != nil {
			panic(fmt.Sprintf("BUG: default of --%s: %v", name, err))
		}
		fs.Var(v, name, text)
	}
	fs.StringVar(&c.data, "data", "./data", "data `directory`, created if missing")
	fs.StringVar(&c.http, "http", ":9201", "`address` to listen on for HTTP")
	fs.StringVar(&c.grpc, "grpc", ":9202", "`address` to listen on for gRPC (tsdb.v1, health, reflection)")
	fs.StringVar(&c.file, "config", "", "YAML `file` whose keys are the names of these flags, and retention, relabel_configs, doors and otlp, rules without a flag, and global, scrape_configs and scrape_config_files, targets to scrape in Prometheus' form; the command line takes precedence; read again at SIGHUP and POST /-/reload")

	variable(&c.strict, "strict", "false", "refuse to start if data is damaged: a block of the MANIFEST is missing or unreadable, the log has lost frames, or a copy of MANIFEST is damaged")
	variable(&c.retention, "retention.raw", "30d", "`duration` for which samples are kept; they are deleted by whole days; 0 = for ever")
	variable(&c.retentionSize, "retention.size", "0", "`bytes` that the data directory may take, or a percentage of the file system such as 80%; above it the oldest samples leave first, then the oldest rollups, finest first, never the newest two days; 0 = no bound")
	variable(&c.rollups, "rollups", "1m,1h,6h", "`tiers` of rollups that are made of the samples: off, or some of "+rollupNames()+" separated by commas")
	c.tierRetention = make(map[block.Tier]*tierRetention)
	for _, t := range block.Rollups {
		r := &tierRetention{coarse: t > block.Hour}
		c.tierRetention[t] = r
		text := fmt.Sprintf("`duration` for which rollups of %v are kept, if --rollups has them; 0 = for ever; off = no such rollup", t)
		if t < block.Hour {
			text += ". Raw samples that stand in for them are kept as long"
		}
		if r.coarse {
			text += "; empty = as rollups of 1h"
		}
		variable(r, "retention."+t.String(), defaultTierRetention[t], text)
	}
	variable(&c.maxFuture, "ingest.max-future", "2d", "maximum `duration` by which a sample may be ahead of the clock")
	c.names.of = []string{"utf8", "underscores"}
	variable(&c.names, "ingest.names", "utf8", "`form` of metric and label names of OpenTSDB, DataDog and Graphite, such as sys.cpu-0: utf8 = as sent, quoted in PromQL; underscores = sys_cpu_0")
	fs.StringVar(&c.graphiteTCP, "graphite.tcp", "", "`address` to listen on for Graphite's lines over plain TCP, without authentication, as in :2003; empty = none")
	fs.StringVar(&c.graphiteUDP, "graphite.udp", "", "`address` to listen on for Graphite's lines in UDP datagrams, without authentication; empty = none")
	variable(&c.walSync, "wal.sync", "always", "`mode` of syncing the log: always = before every reply; interval=DURATION = periodically; off = when the operating system decides. The last two can lose acknowledged samples that are not synced")
	variable(&c.walKeep, "wal.keep", "0s", "`duration` for which log files stay once their samples are in blocks, so that backups at this interval have every moment; they go when free space is short")
	variable(&c.historyKeep, "history.keep", "0s", "`duration` for which queries can ask for the answer of an earlier time (as_of): each cut takes a mark, and the blocks that it lists stay as long; they go when space is short; 0 = off")
	variable(&c.selfScrape, "self-scrape.interval", "15s", "`interval` at which the server stores its own metrics, as job tsdb; 0 = never")

	variable(&c.queryTimeout, "query.timeout", "2m", "maximum `duration` of a query")
	variable(&c.queryMaxSamples, "query.max-samples", "50000000", "maximum number of `samples` a query may hold in memory")
	variable(&c.queryMaxBytes, "query.max-bytes", "1GiB", "maximum memory in `bytes` a query may hold; 0 = no limit")
	variable(&c.queryTotalBytes, "query.max-total-bytes", "40%", "maximum `memory` that all queries together may hold: a size, or a percentage of the memory of the machine or control group; an eighth of it is reserved for small queries; 0 = no limit")
	variable(&c.queryCacheSize, "query.cache-size", "64MiB", "`memory` for cached results of range queries, which counts towards --query.max-total-bytes and is at most a quarter of it; 0 = no cache")
	variable(&c.queryMaxSeries, "query.max-series", "0", "maximum number of `series` a query may select; 0 = no limit")
	variable(&c.queryMaxRead, "query.max-samples-read", "0", "maximum number of `samples` a query may read; 0 = no limit")
	variable(&c.queryMaxPoints, "query.max-points", "11000", "maximum number of `points` per series of a range query")
	variable(&c.queryConcurrency, "query.max-concurrency", "20", "maximum number of concurrent `queries` that run for more than 20 ms, and of shorter ones; further queries wait")

	variable(&c.queryTextBytes, "query.max-text-bytes", "1MiB", "maximum length in `bytes` of the text of a query, at most 3MiB")
	variable(&c.queryTextOperators, "query.max-text-operators", "5000", "maximum number of `operators` in a query")
	variable(&c.queryTextDepth, "query.max-text-depth", "500", "maximum number of `levels` of nested parentheses in a query")
	variable(&c.queryTextMemory, "query.max-text-memory", "64MiB", "maximum `memory` for parsing the text of a query and its regular expressions")
	variable(&c.queryLookback, "query.lookback-delta", "5m", "`duration` for which a sample is valid in queries without lookback_delta; series with longer intervals between samples need more")
	fs.BoolVar(&c.queryExperimental, "query.experimental", false, "enable PromQL's experimental functions, aggregations, durations and modifiers")
	variable(&c.querySlow, "query.log-slower-than", "10s", "log queries that take longer than this `duration`; 0 = none")

	variable(&c.readMaxSamples, "remote-read.max-samples", "50000000", "maximum number of `samples` of a remote read that is answered with a single message instead of a stream of chunks")
	variable(&c.readConcurrency, "remote-read.max-concurrency", "10", "maximum number of concurrent remote `reads`, including raw series over gRPC; further ones wait")

	variable(&c.limitSeries, "limit.series", "0", "maximum number of active `series`, those in memory; new ones beyond it are refused; 0 = no limit")
	variable(&c.limitNewSeries, "limit.new-series", "0", "maximum number of new `series` an hour; further ones are refused; 0 = no limit")
	variable(&c.limitLabels, "limit.labels", "128", "maximum number of `labels` of a series")
	variable(&c.limitLabelName, "limit.label-name", "1KiB", "maximum length in `bytes` of a label name")
	variable(&c.limitLabelValue, "limit.label-value", "16KiB", "maximum length in `bytes` of a label value")
	variable(&c.limitBody, "limit.body", "32MiB", "maximum length in `bytes` of a request body, both compressed and decompressed")

	fs.StringVar(&c.influxDBLabel, "influx.db-label", "db", "`label` for the database or bucket of a line-protocol write; empty = none")
	fs.StringVar(&c.influxSeparator, "influx.separator", "_", "`text` between the names of the measurement and the field in the name of a metric")
	variable(&c.influxBareValue, "influx.bare-value", "false", "name the metric of a field \"value\" after its measurement alone")
	variable(&c.influxPrometheusNames, "influx.prometheus-names", "false", "replace characters of metric and label names other than letters, digits, underscores and, in metrics, colons by underscores, and put one before a leading digit")
	fs.StringVar(&c.influxTCP, "influx.tcp", "", "`address` to listen on for line protocol over plain TCP, without authentication; empty = none")
	fs.StringVar(&c.influxUDP, "influx.udp", "", "`address` to listen on for line protocol in UDP datagrams, without authentication; empty = none")
	fs.StringVar(&c.influxListenDB, "influx.listen.db", "", "`database` of the lines of --influx.tcp and --influx.udp; empty = none")
	c.influxListenPrecision.of = []string{"ns", "us", "ms", "s", "auto"}
	variable(&c.influxListenPrecision, "influx.listen.precision", "ns", "`unit` of the timestamps of --influx.tcp and --influx.udp: ns, us, ms, s, or auto = told from the size of each")

	variable(&c.enableAdmin, "web.enable-admin-api", "false", "allow all peers to use /api/v1/admin, not only those on this machine")
	variable(&c.enablePprof, "web.enable-pprof", "false", "allow all peers to see /debug/pprof, not only those on this machine")
	fs.StringVar(&c.webConfig, "web.config.file", "", "`file` with TLS and authentication for HTTP and gRPC, in the format of Prometheus' exporter toolkit")

	fs.StringVar(&c.webExternalURL, "web.external-url", "", "`address` under which browsers reach the server, such as that of a proxy; browsers may change data only under it, an IP address, localhost or a name of --web.hosts")
	fs.StringVar(&c.webHosts, "web.hosts", "", "further host `names` of the server, separated by commas, under which browsers may change data")
	fs.StringVar(&c.webCORSOrigin, "web.cors.origin", "", "anchored `pattern` of the origins whose pages may read responses and write samples, as in https?://(a|b)\\.example; empty = none")
	variable(&c.webMinRate, "web.min-body-rate", "256", "minimum rate in `bytes` per second at which a request body must arrive after its first 30 s; 0 = any rate without pauses of 30 s")
	variable(&c.webMaxConns, "web.max-connections", "4096", "maximum number of `connections` per port; on the HTTP port new connections replace idle ones")

	c.logLevel.of = []string{"debug", "info", "warn", "error"}
	variable(&c.logLevel, "log.level", "info", "minimum `level` of log messages: debug, info, warn or error")
	c.logFormat.of = []string{"text", "json"}
	variable(&c.logFormat, "log.format", "text", "`format` of the log: text or json")
	return fs
}

// loadConfig reads the command line and the configuration file it names.
func loadConfig(args []string, stdout io.Writer) (*config, error) {
	c := &config{args: args}
	c.flags = c.flagSet()
	if err := parse(c.flags, args, stdout, serveSynopsis); err != nil {
		return nil, err
	}
	if err := c.parseScrape(nil, nil); err != nil {
		return nil, err // never: there is nothing to parse
	}
	if c.file != "" {
		given := map[string]bool{}
		c.flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		content, err := os.ReadFile(c.file)
		if err != nil {
			return nil, usageError{fmt.Errorf("read configuration: %w", err)}
		}
		if err := c.applyYAML(content, given); err != nil {
			return nil, usageError{err}
		}
	}
	return c, c.validate()
}

// applyYAML sets the flags named in a configuration file, except those given on
// the command line. Errors name the line; all are reported at once.
func (c *config) applyYAML(content []byte, given map[string]bool) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		return fmt.Errorf("%s: %w", c.file, err)
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		return nil // an empty file
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	at := c.at
	if root.Kind != yaml.MappingNode {
		return at(root, "want lines of the form \"flag: value\"")
	}
	var errs []error
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		f := c.flags.Lookup(key.Value)
		parse := map[string]func(*yaml.Node) error{rulesKey: c.parseRules, relabelKey: c.parseRelabel, doorsKey: c.parseDoors, otlpKey: c.parseOTLP}[key.Value]
		if slices.Contains(scrape.Keys, key.Value) {
			parse = func(*yaml.Node) error { return nil } // below, all together
		}
		switch {
		case parse != nil && seen[key.Value] == 0:
			seen[key.Value] = key.Line
			errs = append(errs, parse(value))
			continue
		case f == nil && parse == nil || key.Value == "config":
			errs = append(errs, at(key, "unknown key %q%s", key.Value, c.suggest(key.Value)))
			continue
		case seen[key.Value] != 0:
			errs = append(errs, at(key, "key %q is given twice, first on line %d", key.Value, seen[key.Value]))
			continue
		case value.Kind != yaml.ScalarNode:
			errs = append(errs, at(value, "key %q takes a single value", key.Value))
			continue
		}
		seen[key.Value] = key.Line
		text := value.Value
		if value.Tag == "!!null" {
			text = ""
		}
		if given[key.Value] {
			continue
		}
		if err := c.flags.Set(key.Value, text); err != nil {
			errs = append(errs, at(value, "key %q: %v", key.Value, err))
		}
	}
	return errors.Join(append(errs, c.parseScrape(root, content))...)
}

// suggest returns a hint at the key with the most similar name, if there is one.
func (c *config) suggest(key string) string {
	best, bestDistance := "", 4
	try := func(name string) {
		if d := editDistance(key, name); d < bestDistance && name != "config" {
			best, bestDistance = name, d
		}
	}
	c.flags.VisitAll(func(f *flag.Flag) { try(f.Name) })
	for _, name := range append([]string{rulesKey, relabelKey, doorsKey, otlpKey}, scrape.Keys...) {
		try(name)
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// editDistance returns the number of bytes to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// validate reports all invalid values at once.
func (c *config) validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.data == "" {
		refuse("--data must name a directory")
	}
	if c.http == "" {
		refuse("--http must name an address, as in :9201")
	}
	c.checkRetention(refuse)
	if d := time.Duration(c.selfScrape); d != 0 && d < time.Second {
		refuse("--self-scrape.interval=%s is shorter than a second", c.selfScrape.String())
	}
	if c.queryTimeout <= 0 {
		refuse("--query.timeout must be more than 0")
	}
	if c.queryTextBytes > 3<<20 {
		refuse("--query.max-text-bytes=%s is more than the 3MiB that fit into a form", c.queryTextBytes.String())
	}
	if c.queryLookback < duration(time.Millisecond) {
		refuse("--query.lookback-delta=%s is shorter than a millisecond", c.queryLookback.String())
	}
	if c.maxFuture <= 0 {
		refuse("--ingest.max-future must be more than 0")
	}
	if !utf8.ValidString(c.influxSeparator) || len(c.influxSeparator) > 64 {
		refuse("--influx.separator is not UTF-8 or longer than 64 bytes")
	}
	if err := c.influxListen().Validate(); err != nil {
		refuse("--influx.listen.db and --influx.listen.precision: %w", err)
	}
	if err := api.ValidateOrigins(c.webExternalURL, c.hosts(), c.webCORSOrigin); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return usageError{errors.Join(errs...)}
	}
	return nil
}

// influxNaming returns the names of metrics of line protocol.
func (c *config) influxNaming() *influx.Naming {
	return &influx.Naming{Separator: c.influxSeparator, BareValue: bool(c.influxBareValue), Names: namesOf(bool(c.influxPrometheusNames))}
}

// influxListen returns the parameters of lines over TCP and UDP.
func (c *config) influxListen() influx.ListenOptions {
	return influx.ListenOptions{DB: c.influxListenDB, Precision: c.influxListenPrecision.value}
}

// hosts returns the names of --web.hosts.
func (c *config) hosts() []string {
	var names []string
	for name := range strings.SplitSeq(c.webHosts, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// dataDir returns the absolute path of the data directory.
func (c *config) dataDir() (string, error) { return filepath.Abs(c.data) }

// values returns every flag with its value in force, sorted by name.
func (c *config) values() []setting {
	var all []setting
	c.flags.VisitAll(func(f *flag.Flag) { all = append(all, setting{f.Name, f.Value.String()}) })
	slices.SortFunc(all, func(a, b setting) int { return strings.Compare(a.name, b.name) })
	return all
}

type setting struct{ name, value string }

// flagValues returns the value in force of every flag, by name.
func (c *config) flagValues() map[string]string {
	m := make(map[string]string)
	for _, s := range c.values() {
		m[s.name] = s.value
	}
	return m
}

// yaml returns the settings in force in the form of a configuration file.
func (c *config) yaml() string {
	var b strings.Builder
	for _, s := range c.values() {
		if s.name != "config" {
			fmt.Fprintf(&b, "%s: %q\n", s.name, s.value)
		}
	}
	b.WriteString(c.rulesYAML())
	b.WriteString(c.doors.yaml)
	b.WriteString(c.otlp.yaml)
	b.WriteString(c.scrapeYAML())
	return b.String()
}
