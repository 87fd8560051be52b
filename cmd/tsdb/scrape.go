package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tsdb/api"
	"tsdb/api/scrape"
)

// scrapeStopLimit bounds the wait for targets that answer slowly at a shutdown. Scrapes
// that take longer are not stored.
const scrapeStopLimit = time.Second

// parseScrape sets what is scraped from the mapping of a configuration file, nil if there
// is none.
func (c *config) parseScrape(root *yaml.Node, content []byte) (err error) {
	text := ""
	if root != nil {
		text = scrapeText(root, content)
	}
	c.scrape, err = scrape.Parse(text, c.file, filepath.Dir(c.file), slog.New(slog.DiscardHandler))
	return err
}

// scrapeText returns the keys of a configuration file that say what is scraped. Other
// keys are replaced by empty lines, so that errors name the right ones.
func scrapeText(root *yaml.Node, content []byte) string {
	var own yaml.Node
	own.Kind = yaml.MappingNode
	lines := strings.SplitAfter(string(content), "\n")
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		if slices.Contains(scrape.Keys, key.Value) {
			own.Content = append(own.Content, key, root.Content[i+1])
			continue
		}
		end := len(lines)
		if i+2 < len(root.Content) {
			end = root.Content[i+2].Line - 1
		}
		for l := key.Line - 1; l < end; l++ {
			lines[l] = "\n"
		}
	}
	switch {
	case len(own.Content) == 0:
		return ""
	case root.Style&yaml.FlowStyle == 0 && !hasAlias(&own):
		return strings.Join(lines, "")
	}
	// In one line, or with parts that stand elsewhere: errors name other lines.
	text, err := yaml.Marshal(withoutAliases(&own))
	if err != nil {
		return fmt.Sprintf("global: %q", err) // which is refused
	}
	return string(text)
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// withoutAliases returns a copy of a node with the values of aliases in their places.
func withoutAliases(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := *n
	c.Anchor, c.Content = "", nil
	for _, child := range n.Content {
		c.Content = append(c.Content, withoutAliases(child))
	}
	return &c
}

// scrapeYAML returns what is scraped in the form of a configuration file, "" if nothing
// is.
func (c *config) scrapeYAML() string {
	if c.scrape.Jobs() == 0 {
		return ""
	}
	return c.scrape.YAML()
}

// newScraper returns the manager of scrapes, which scrapes nothing yet.
func (s *service) newScraper() *scrape.Manager {
	in := s.ingest.Appendable()
	return scrape.NewManager(scrape.Options{
		Appendable: in, MaxBodyBytes: in.MaxBytes(), Registerer: s.registry, Logger: s.log,
		Port: fmt.Sprint(s.httpListener.Addr().(*net.TCPAddr).Port), External: s.externalURL(),
	})
}

// externalURL returns the address under which other hosts reach the server.
func (s *service) externalURL() *url.URL {
	if u, err := url.Parse(s.config.webExternalURL); err == nil && u.Host != "" {
		return u
	}
	u, err := url.Parse(s.url())
	if err != nil {
		return nil
	}
	if host, err := os.Hostname(); err == nil {
		u.Host = net.JoinHostPort(host, u.Port())
	}
	return u
}

// startScraping begins to scrape what the configuration in force says.
func (r *reloader) startScraping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.current.Load()
	if c.scrape.Jobs() == 0 {
		return
	}
	if err := c.scrape.Check(); err != nil {
		r.service.log.Error("some targets cannot be scraped", "err", err)
	}
	if err := r.service.scraper.Apply(c.scrape); err != nil {
		r.service.log.Error("targets are not scraped", "err", err)
		return
	}
	if c.selfScrape > 0 && c.scrape.HasJob(api.SelfScrapeJob) {
		r.service.log.Warn("the server scrapes itself too, as the job of the same name", "job", api.SelfScrapeJob, "setting", "--self-scrape.interval")
	}
	r.service.log.Info("scraping", "jobs", c.scrape.Jobs())
}

// stopScraping ends all scrapes, before the database is closed.
func (s *service) stopScraping() {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeStopLimit)
	defer cancel()
	s.scraper.Stop(ctx)
	s.ingest.Appendable().Stop()
}
