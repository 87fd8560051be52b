package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/transfer/export"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

const exportSynopsis = `tsdb export --from DIR|URL --to FILE [flags]

Writes samples to a file, - for the standard output; a name that ends with .gz or .zst is
compressed. The source is the data directory of a server that is not running, or
the address of one that runs. Formats:

  jsonl        lines of JSON, which tsdb import lines takes back bit for bit
  csv          name, labels, timestamp_ms, value
  openmetrics  text, without types
  parquet      name, labels, timestamp, value

Only jsonl holds native histograms, start timestamps and, with parquet, the bits of
stale markers. What a format cannot hold is counted.`

// exportConfig holds the settings of an export.
type exportConfig struct {
	from, to, format string
	match            stringList
	start, end       string

	min, max  int64 // of start and end, both inclusive
	selectors [][]*labels.Matcher
}

// stringList is a flag that may be given several times.
type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, " ") }
func (l *stringList) Set(s string) error { *l = append(*l, s); return nil }

func parseExport(args []string, stdout io.Writer) (*exportConfig, error) {
	c := &exportConfig{}
	fs := flag.NewFlagSet("export", flag.ContinueOnError)
	fs.StringVar(&c.from, "from", "", "`source`: a data directory or the address of a server")
	fs.StringVar(&c.to, "to", "", "`file` to write; - = standard output")
	fs.StringVar(&c.format, "format", "jsonl", "`format`: "+strings.Join(export.Formats, ", "))
	fs.Var(&c.match, "match", "`selector` of series, such as '{job=\"node\"}'; may be given several times; none = all series")
	fs.StringVar(&c.start, "start", "", "`time` of the first sample: RFC 3339, or Unix seconds")
	fs.StringVar(&c.end, "end", "", "`time` of the last sample")
	if err := parse(fs, args, stdout, exportSynopsis); err != nil {
		return nil, err
	}
	return c, c.validate()
}

func (c *exportConfig) validate() (err error) {
	switch {
	case c.from == "":
		return usageError{errors.New("--from is missing: the source")}
	case c.to == "":
		return usageError{errors.New("--to is missing: the file")}
	case !slices.Contains(export.Formats, c.format):
		return usageError{fmt.Errorf("unknown format %q, want one of %s", c.format, strings.Join(export.Formats, ", "))}
	}
	if c.min, err = timeFlag("start", c.start, model.MinTime); err != nil {
		return err
	}
	if c.max, err = timeFlag("end", c.end, model.MaxTime); err != nil {
		return err
	}
	if len(c.match) == 0 {
		c.match = stringList{`{__name__!=""}`}
	}
	c.selectors, err = parseSelectors(c.match)
	return err
}

// timeFlag parses a time in the forms of the API.
func timeFlag(name, s string, missing int64) (int64, error) {
	if s == "" {
		return missing, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UnixMilli(), nil
	}
	var seconds float64
	if _, err := fmt.Sscanf(s, "%g", &seconds); err == nil && math.Abs(seconds) < 1e13 {
		return int64(math.Round(seconds * 1000)), nil
	}
	return 0, usageError{fmt.Errorf("--%s: %q is neither RFC 3339 nor a number of seconds", name, s)}
}

// exportCommand runs tsdb export.
func exportCommand(args []string, stdout, stderr io.Writer) (err error) {
	c, err := parseExport(args, stdout)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(paceCollector())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out, err := createOutput(c.to, stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.finish(err == nil)) }()
	w, err := export.NewWriter(c.format, out)
	if err != nil {
		return usageError{err}
	}
	began, samples := time.Now(), int64(0)
	put := func(ls labels.Labels, s *model.Samples) error {
		samples += int64(s.Len())
		return errors.Join(w.Series(ls, s), ctx.Err())
	}
	if strings.HasPrefix(c.from, "http://") || strings.HasPrefix(c.from, "https://") {
		err = c.fromServer(ctx, put)
	} else {
		err = c.fromDirectory(ctx, stderr, put)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s samples exported in %s\n", thousands(samples), time.Since(began).Round(time.Millisecond))
	lost := w.Lost()
	for _, what := range slices.Sorted(keysOf(lost)) {
		fmt.Fprintf(stderr, "not in the file, because %s has no place for them: %s %s\n", c.format, thousands(lost[what]), what)
	}
	return nil
}

func keysOf(m map[string]int64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// fromDirectory reads a data directory at rest, one series at a time.
func (c *exportConfig) fromDirectory(ctx context.Context, stderr io.Writer, put func(labels.Labels, *model.Samples) error) (err error) {
	if _, err := os.Stat(filepath.Join(c.from, "MANIFEST")); err != nil {
		return fmt.Errorf("%s is no data directory: %w", c.from, err)
	}
	fs, dir := vfs.NewRelative(vfs.OS, filepath.ToSlash(c.from))
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := storage.Open(ctx, fs, dir, storage.Options{Logger: log, Owner: fmt.Sprintf("tsdb export, process %d", os.Getpid())})
	if err != nil {
		return fmt.Errorf("open %s: %w", c.from, err)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel() // the head stays in the log
	defer func() { err = errors.Join(err, db.Close(stopped)) }()
	v, err := db.View()
	if err != nil {
		return err
	}
	defer v.Release()
	seen := map[string]bool{}
	for _, ms := range c.selectors {
		set, err := v.Select(ctx, model.DefaultTenant, model.Inclusive(c.min, c.max), ms...)
		if err != nil {
			return err
		}
		var samples model.Samples
		for i := range set.Len() {
			s := set.At(i)
			if len(c.selectors) > 1 {
				if key := s.Labels.String(); seen[key] {
					continue
				} else {
					seen[key] = true
				}
			}
			samples.Reset()
			if err := s.Samples(ctx, model.Inclusive(c.min, c.max), &samples); err != nil {
				return err
			}
			if samples.Len() > 0 {
				if err := put(s.Labels, &samples); err != nil {
					return err
				}
			}
		}
		if ws := set.Warnings(); len(ws) > 0 {
			return fmt.Errorf("data is damaged and the export would be incomplete: %w", ws[0])
		}
	}
	return nil
}
