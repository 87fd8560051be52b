package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
	"tsdb/internal/transfer/promread"
)

// remoteReadKind is the kind of source that is another server.
const remoteReadKind = "remote-read"

// remoteReadConfig holds the settings of an import from another server.
type remoteReadConfig struct {
	from       string
	match      stringList
	start, end string
	window     duration
	web        clientFlags

	options promread.Options // once validated
}

func (c *remoteReadConfig) register(fs *flag.FlagSet) {
	fs.StringVar(&c.from, "from", "", "`address` of the server that remote-read reads, such as http://prometheus:9090, or of its reads, with a path that ends in /read")
	fs.Var(&c.match, "match", "`selector` of series for remote-read, such as '{job=\"node\"}'; may be given several times; none = all series")
	fs.StringVar(&c.start, "start", "", "`time` of the first sample for remote-read: RFC 3339, or Unix seconds")
	fs.StringVar(&c.end, "end", "", "`time` of the last sample; empty = now")
	_ = c.window.Set("1d")
	fs.Var(&c.window, "window", "`duration` that one request of remote-read asks for; a server that answers with samples, not chunks, needs a short one")
	c.web.register(fs, "from.", "the server that remote-read reads")
}

func (c *remoteReadConfig) given() bool {
	return c.from != "" || len(c.match) > 0 || c.start != "" || c.end != "" || time.Duration(c.window) != 24*time.Hour
}

// validate checks the settings. now is the end if none is given: it is then a part of the
// last window, so that a repeated import reads what came meanwhile.
func (c *remoteReadConfig) validate(sources []string, now time.Time) (err error) {
	o := promread.Options{Window: time.Duration(c.window)}
	switch {
	case len(sources) > 1:
		return usageError{errors.New("one server at a time")}
	case c.start == "":
		return usageError{errors.New("--start is missing: the time of the first sample to be read")}
	}
	o.URL = sources[0]
	if o.Start, err = timeFlag("start", c.start, 0); err != nil {
		return err
	}
	if o.End, err = timeFlag("end", c.end, now.UnixMilli()); err != nil {
		return err
	}
	o.Start, o.End = max(o.Start, model.MinTime), min(o.End, model.MaxTime)
	if o.Selectors, err = parseSelectors(c.match); err != nil {
		return err
	}
	c.options = o
	return nil
}

func (c *remoteReadConfig) open(log *slog.Logger) (transfer.Source, error) {
	var err error
	if c.options.Client, err = c.web.client(hostOf(c.options.URL)); err != nil {
		return nil, err
	}
	c.options.Log = log
	src, err := promread.Open(c.options)
	if err != nil {
		return nil, usageError{err}
	}
	return src, nil
}

// names returns what identifies the import in its state. Windows are identified by their
// times.
func (c *remoteReadConfig) names() []string {
	names := []string{withoutUser(c.options.URL)}
	for _, m := range c.match {
		names = append(names, strconv.Quote(m))
	}
	return names
}

// parseSelectors parses selectors of series; none stands for one of all.
func parseSelectors(texts []string) (all [][]*labels.Matcher, err error) {
	if len(texts) == 0 {
		texts = []string{`{__name__!=""}`}
	}
	for _, text := range texts {
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--match %s: %w", text, err)}
		}
		all = append(all, slices.Clone(ms))
	}
	return all, nil
}

// hostOf returns the host of an address, "" if it has none.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// withoutUser returns an address without the user and password in it.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}
