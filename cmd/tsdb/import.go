package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
	"tsdb/internal/transfer/files"
	"tsdb/internal/transfer/promdir"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

const importSynopsis = `tsdb import KIND SOURCE… --to DIR|URL [flags]

KIND says what the sources are:

  prometheus   the data directory of a Prometheus server, at rest, or a snapshot of it
  lines        files of JSON lines: /api/v1/export of this server or of VictoriaMetrics
  csv          files of comma-separated values; --csv.format tells the columns
  openmetrics  files of OpenMetrics text
  text         files of Prometheus' text format
  influx       files of InfluxDB's line protocol
  remote-read  another server, by Prometheus' remote read: --from, --match, --start, --end

Files may be compressed with gzip or zstd; a directory stands for its files.
The target is the data directory of a server that is not running, which is created
if it is missing, or the address of one that runs, such as http://localhost:9201.
An import that was interrupted goes on when the same command is given again.`

// importConfig holds the settings of an import.
type importConfig struct {
	kind    string
	sources []string

	to        string
	retention duration
	config    string // name of the file of tsdb serve
	runBytes  size
	state     string
	restart   bool
	dryRun    bool
	skipOld   bool

	keep  storage.Retention // of a target that is a directory
	files files.Options
	read  remoteReadConfig
	toWeb clientFlags // of the target
}

// importKinds are the kinds of sources.
var importKinds = append([]string{"prometheus", remoteReadKind}, files.Kinds...)

func (c *importConfig) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet("import", flag.ContinueOnError)
	fs.StringVar(&c.to, "to", "", "`target`: a data directory or the address of a server")
	_ = c.retention.Set("30d")
	fs.Var(&c.retention, "retention.raw", "`duration` for which the target keeps samples, if it is a directory; older ones are not taken; 0 = for ever. Give tsdb serve the same")
	fs.StringVar(&c.config, "config", "", "configuration `file` of tsdb serve, for the retentions of a target that is a directory, rules by selector included; --retention.raw takes precedence")
	_ = c.runBytes.Set("256MiB")
	fs.Var(&c.runBytes, "memory", "`memory` for the samples that are published at once")
	fs.StringVar(&c.state, "state", "", "`file` that records how far the import is; by default beside the target directory, or in the working directory")
	fs.BoolVar(&c.restart, "restart", false, "begin again, whatever has been imported already")
	fs.BoolVar(&c.dryRun, "dry-run", false, "only read: count series and samples, and show what would be refused")
	fs.BoolVar(&c.skipOld, "skip-old", false, "leave out samples that are older than the target keeps, instead of refusing to start")
	fs.StringVar(&c.files.CSV, "csv.format", "", "`columns` of csv: POSITION:TYPE:CONTEXT, separated by commas, as VictoriaMetrics' parameter format: 1:time:unix_s,2:label:host,3:metric:temperature; or tsdb: files of tsdb export --format csv")
	fs.StringVar(&c.files.Precision, "influx.precision", "ns", "`unit` of the timestamps of line protocol: ns, us, ms, s, m or h")
	fs.StringVar(&c.files.DB, "influx.db", "", "`name` of the database that line protocol comes from, for a label; empty = none")
	fs.StringVar(&c.files.DBLabel, "influx.db-label", "db", "`label` for it, as of tsdb serve")
	c.read.register(fs)
	c.toWeb.register(fs, "to.", "the target")
	return fs
}

// parseImport reads the command line. Flags and sources may be mixed.
func parseImport(args []string, stdout io.Writer) (*importConfig, error) {
	c := &importConfig{}
	fs := c.flagSet()
	words, err := parseMixed(fs, args, stdout, importSynopsis)
	if err != nil {
		return nil, err
	}
	c.keep = storage.Retention{RawMs: c.retention.ms()}
	if c.config != "" {
		server, err := loadConfig([]string{"--config", c.config}, stdout)
		if err != nil {
			return nil, err
		}
		c.keep = server.retentionOf()
		fs.Visit(func(f *flag.Flag) {
			if f.Name == "retention.raw" {
				c.keep.RawMs = c.retention.ms()
			}
		})
	}
	if len(words) > 0 {
		c.kind, c.sources = words[0], words[1:]
	}
	if c.kind == remoteReadKind && c.read.from != "" {
		c.sources = append(c.sources, c.read.from)
	}
	return c, c.validate()
}

func (c *importConfig) validate() error {
	known := false
	for _, k := range importKinds {
		known = known || k == c.kind
	}
	switch {
	case c.kind == "":
		return usageError{fmt.Errorf("what kind of source? one of %s", strings.Join(importKinds, ", "))}
	case !known:
		return usageError{fmt.Errorf("unknown kind of source %q, want one of %s", c.kind, strings.Join(importKinds, ", "))}
	case len(c.sources) == 0:
		return usageError{fmt.Errorf("no source of %s is given", c.kind)}
	case c.to == "":
		return usageError{errors.New("--to is missing: the target")}
	case c.kind == "prometheus" && len(c.sources) > 1:
		return usageError{errors.New("one directory of Prometheus at a time")}
	case c.kind == remoteReadKind:
		return c.read.validate(c.sources, time.Now())
	case c.read.given():
		return usageError{fmt.Errorf("--from, --match, --start, --end and --window are of %s only", remoteReadKind)}
	}
	return nil
}

func (c *importConfig) remote() bool {
	return strings.HasPrefix(c.to, "http://") || strings.HasPrefix(c.to, "https://")
}

// importCommand runs tsdb import.
func importCommand(args []string, stdout, stderr io.Writer) error {
	c, err := parseImport(args, stdout)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(paceCollector())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	src, err := c.open(log)
	if err != nil {
		return err
	}
	dst, closeTarget, err := c.target(ctx, log)
	if err != nil {
		return errors.Join(err, src.Close())
	}
	meter := newMeter(stderr)
	o := transfer.Options{DryRun: c.dryRun, SkipOld: c.skipOld, Report: meter.report}
	if !c.dryRun {
		o.State, err = c.openState()
	}
	var sum transfer.Summary
	if err == nil {
		sum, err = transfer.Run(ctx, src, dst, o)
	}
	meter.end()
	err = errors.Join(err, dst.Close(), closeTarget(), src.Close())
	c.summarise(stdout, sum, meter.took(), err)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted: give the same command again to go on")
	}
	return err
}

// open opens the sources.
func (c *importConfig) open(log *slog.Logger) (transfer.Source, error) {
	if c.kind == "prometheus" {
		return promdir.Open(c.sources[0], log)
	}
	if c.kind == remoteReadKind {
		return c.read.open(log)
	}
	c.files.Now = time.Now()
	src, err := files.Open(c.kind, c.sources, c.files)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, usageError{err}
	}
	return src, err
}

// target opens the target. The returned function closes what stands behind it.
func (c *importConfig) target(ctx context.Context, log *slog.Logger) (transfer.Target, func() error, error) {
	if c.remote() {
		client, err := c.toWeb.client(hostOf(c.to))
		if err != nil {
			return nil, nil, err
		}
		dst, err := transfer.NewRemote(c.to, min(int64(c.runBytes), 64<<20), client)
		if err != nil {
			return nil, nil, usageError{err}
		}
		return dst, func() error { return nil }, nil
	}
	if c.dryRun {
		if _, err := os.Stat(c.to); errors.Is(err, os.ErrNotExist) {
			b, err := transfer.BoundsFor(c.keep, time.Now().UnixMilli())
			return nowhere{b}, func() error { return nil }, err
		}
	}
	fs, dir := vfs.NewRelative(vfs.OS, filepath.ToSlash(c.to))
	// The database is opened without a retention: what it has is not for an import to expire.
	db, err := storage.Open(ctx, fs, dir, storage.Options{Logger: log, Owner: fmt.Sprintf("tsdb import, process %d", os.Getpid())})
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", c.to, err)
	}
	dst := transfer.NewDB(db, model.DefaultTenant, int64(c.runBytes))
	if err := dst.Keep(c.keep); err != nil {
		return nil, nil, errors.Join(err, dst.Close(), db.Close(context.Background()))
	}
	return dst, func() error { return db.Close(context.Background()) }, nil
}

// openState opens the file that records how far the import is.
func (c *importConfig) openState() (*transfer.State, error) {
	what := c.kind
	sources := c.sources
	if c.kind == remoteReadKind {
		sources = c.read.names()
	}
	for _, s := range sources {
		if abs, err := filepath.Abs(s); err == nil && c.kind != remoteReadKind {
			s = abs
		}
		what += " " + s
	}
	to := withoutUser(c.to)
	if !c.remote() {
		abs, err := filepath.Abs(to)
		if err != nil {
			return nil, err
		}
		to = abs
	}
	what += " to " + to
	name := c.state
	if name == "" {
		h := fnv.New32a()
		_, _ = io.WriteString(h, what) // never fails
		name = fmt.Sprintf("tsdb-import-%08x.json", h.Sum32())
		if !c.remote() {
			name = fmt.Sprintf("%s.import-%08x.json", filepath.Clean(to), h.Sum32())
		}
	}
	if c.restart {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return transfer.OpenState(name, what)
}

// nowhere is the target of a dry run into a directory that does not exist.
type nowhere struct{ bounds transfer.Bounds }

func (n nowhere) Bounds(context.Context) (transfer.Bounds, error)       { return n.bounds, nil }
func (nowhere) Add(context.Context, *transfer.Item) error               { return nil }
func (nowhere) Full() bool                                              { return false }
func (nowhere) Publish(context.Context) (r transfer.Receipt, err error) { return r, nil }
func (nowhere) Close() error                                            { return nil }
