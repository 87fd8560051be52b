package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// originRules decide what a request may do that a browser sends on behalf of
// some page. The browser reaches servers the page's author cannot: on the
// user's machine and network. What they cannot do is hide where the page is
// from (Origin, Sec-Fetch-Site) and the name it used for the server (Host). The
// name is checked because an attacker may let his own resolve to the server's
// address (DNS rebinding): the page is then of the same origin as the server.
type originRules struct {
	external *url.URL       // address that users have for the server; nil = none
	hosts    []string       // further names of the server, in lower case
	cors     *regexp.Regexp // origins whose pages may read answers and write samples; nil = none
}

// newOriginRules parses the settings; empty ones are off.
func newOriginRules(externalURL string, hosts []string, corsOrigin string) (*originRules, error) {
	o := &originRules{}
	if externalURL != "" {
		u, err := url.Parse(externalURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return nil, fmt.Errorf("--web.external-url=%s is no address of the form https://host[:port][/path]", externalURL)
		}
		o.external = u
		o.hosts = append(o.hosts, canonicalHost(u.Hostname()))
	}
	for _, h := range hosts {
		if h == "" || strings.ContainsAny(h, "/:*@ ") {
			return nil, fmt.Errorf("--web.hosts: %q is no host name (without scheme, port and wildcards)", h)
		}
		o.hosts = append(o.hosts, canonicalHost(h))
	}
	if corsOrigin != "" {
		re, err := regexp.Compile("^(?:" + corsOrigin + ")$")
		if err != nil {
			return nil, fmt.Errorf("--web.cors.origin: %w", err)
		}
		o.cors = re
	}
	return o, nil
}

// ValidateOrigins reports what is wrong with the settings ExternalURL, Hosts and
// CORSOrigin of a server.
func ValidateOrigins(externalURL string, hosts []string, corsOrigin string) error {
	_, err := newOriginRules(externalURL, hosts, corsOrigin)
	return err
}

// page is what a request says about the page that sent it.
type page int

const (
	noPage      page = iota // no browser, or the user himself
	ownPage                 // of the server's own origin
	allowedPage             // of an origin that --web.cors.origin allows
	foreignPage
)

// pageOf classifies a request.
func (o *originRules) pageOf(r *http.Request) page {
	site := r.Header.Get("Sec-Fetch-Site")
	origin := r.Header.Get("Origin")
	switch {
	case origin != "" && o.isOwn(origin, r.Host):
		if site == "cross-site" || site == "same-site" {
			return foreignPage // the two contradict each other
		}
		return ownPage
	case origin != "" && o.cors != nil && o.cors.MatchString(origin):
		return allowedPage
	case origin != "":
		return foreignPage
	case site == "same-origin":
		return ownPage
	case site == "none":
		return noPage // an address typed, a bookmark
	case site != "":
		return foreignPage
	}
	if isBrowser(r) {
		return foreignPage // it does not say where the page is from
	}
	return noPage
}

// isOwn reports whether an origin is that of the server, as the request or
// --web.external-url names it. The scheme plays no part in the first: behind a
// proxy that ends TLS the server does not know it.
func (o *originRules) isOwn(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false // "null" among others
	}
	if o.external != nil && u.Scheme == o.external.Scheme && canonicalHostPort(u.Host, u.Scheme) == canonicalHostPort(o.external.Host, u.Scheme) {
		return true
	}
	return canonicalHostPort(u.Host, u.Scheme) == canonicalHostPort(host, u.Scheme)
}

// refusal returns why a request may not do what it asks for, empty if it may.
// admin says that it is for a path that trusts loopback peers.
func (o *originRules) refusal(r *http.Request, admin bool) string {
	if !changesState(r.Method, r.URL.Path) {
		return ""
	}
	if !isBrowser(r) {
		return ""
	}
	switch p := o.pageOf(r); {
	case p == foreignPage:
		return fmt.Sprintf("a page of another origin (%s) may not change anything here; --web.cors.origin allows origins to write", originText(r))
	case p == allowedPage && admin:
		return fmt.Sprintf("a page of another origin (%s) may not use this path", originText(r))
	}
	if !o.namesServer(r.Host) {
		return fmt.Sprintf("browsers may change something only under a name of this server, and %q is none: name it with --web.hosts or --web.external-url", clipHost(r.Host))
	}
	return ""
}

// namesServer reports whether a Host header names the server for certain: an
// address, localhost, or one of the configured names.
func (o *originRules) namesServer(host string) bool {
	return isLocalName(host) || slices.Contains(o.hosts, canonicalHost(hostname(host)))
}

// isLocalName reports whether a Host header is an address or localhost: what
// nobody can let resolve to something else.
func isLocalName(host string) bool {
	name := canonicalHost(hostname(host))
	if name == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

func isBrowser(r *http.Request) bool {
	if r.Header.Get("Origin") != "" {
		return true
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}

// readingPosts are the paths whose POST changes nothing: the parameters are
// merely in the body. Answers are unreadable for pages of other origins.
var readingPosts = []string{
	"/api/v1/query", "/api/v1/query_range", "/api/v1/query_exemplars", "/api/v1/explain", "/api/v1/format_query", "/api/v1/parse_query",
	"/api/v1/series", "/api/v1/labels", "/api/v1/read",
}

// changesState reports whether a request may change something. GET never does:
// no handler may.
func changesState(method, path string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	case http.MethodPost:
		return !slices.Contains(readingPosts, path)
	}
	return true
}

func originText(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" {
		return clipHost(origin)
	}
	return "unknown"
}

// clipHost bounds what a message repeats of a header.
func clipHost(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// hostname returns the host of host[:port], without the brackets of IPv6.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func canonicalHost(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// canonicalHostPort returns host:port, where a missing port is the scheme's.
func canonicalHostPort(host, scheme string) string {
	_, port, err := net.SplitHostPort(host)
	if err != nil || port == "" {
		port = "80"
		if scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(canonicalHost(hostname(host)), port)
}
