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

// originRules decide what a browser may do on behalf of a page. The browser can
// reach servers that the author of the page cannot, on the user's machine and
// network. The page cannot forge where it is from (Origin, Sec-Fetch-Site) nor
// the name under which it reached the server (Host). The name is checked because
// an attacker can make a name of his resolve to the server's address (DNS
// rebinding), which gives the page the same origin as the server.
type originRules struct {
	external *url.URL       // address under which users reach the server; nil = none
	hosts    []string       // further names of the server, in lower case
	cors     *regexp.Regexp // origins whose pages may read answers and write samples; nil = none
}

// newOriginRules parses the settings. An empty setting is off.
func newOriginRules(externalURL string, hosts []string, corsOrigin string) (*originRules, error) {
	o := &originRules{}
	if externalURL != "" {
		u, err := url.Parse(externalURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return nil, fmt.Errorf("--web.external-url=%s is not an address of the form https://host[:port][/path]", externalURL)
		}
		o.external = u
		o.hosts = append(o.hosts, canonicalHost(u.Hostname()))
	}
	for _, h := range hosts {
		if h == "" || strings.ContainsAny(h, "/:*@ ") {
			return nil, fmt.Errorf("--web.hosts: %q is not a host name (without scheme, port and wildcards)", h)
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

// ValidateOrigins validates the options ExternalURL, Hosts and CORSOrigin of a
// server.
func ValidateOrigins(externalURL string, hosts []string, corsOrigin string) error {
	_, err := newOriginRules(externalURL, hosts, corsOrigin)
	return err
}

// page classifies the page on whose behalf a request is sent.
type page int

const (
	noPage      page = iota // not a browser, or the user directly
	ownPage                 // of the server's own origin
	allowedPage             // of an origin that --web.cors.origin allows
	foreignPage             // of another or an unknown origin
)

// pageOf classifies a request.
func (o *originRules) pageOf(r *http.Request) page {
	site := r.Header.Get("Sec-Fetch-Site")
	origin := r.Header.Get("Origin")
	switch {
	case origin != "" && o.isOwn(origin, r.Host):
		if site == "cross-site" || site == "same-site" {
			return foreignPage // the headers contradict each other
		}
		return ownPage
	case origin != "" && o.cors != nil && o.cors.MatchString(origin):
		return allowedPage
	case origin != "":
		return foreignPage
	case site == "same-origin":
		return ownPage
	case site == "none":
		return noPage // a typed address or a bookmark
	case site != "":
		return foreignPage
	}
	if isBrowser(r) {
		return foreignPage // the origin is unknown
	}
	return noPage
}

// isOwn reports whether an origin is the server's own, which is the Host of the
// request or --web.external-url. The scheme of the former is ignored because the
// server does not know it behind a proxy that terminates TLS.
func (o *originRules) isOwn(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false // such as "null"
	}
	if o.external != nil && u.Scheme == o.external.Scheme && canonicalHostPort(u.Host, u.Scheme) == canonicalHostPort(o.external.Host, u.Scheme) {
		return true
	}
	return canonicalHostPort(u.Host, u.Scheme) == canonicalHostPort(host, u.Scheme)
}

// refusal returns the reason to refuse a request, empty if it is allowed. admin
// is true for paths that trust loopback peers.
func (o *originRules) refusal(r *http.Request, admin bool) string {
	if !changesState(r.Method, r.URL.Path) {
		return ""
	}
	if !isBrowser(r) {
		return ""
	}
	switch p := o.pageOf(r); {
	case p == foreignPage:
		return fmt.Sprintf("a page of another origin (%s) may not change data on this server; --web.cors.origin allows origins to write", originText(r))
	case p == allowedPage && admin:
		return fmt.Sprintf("a page of another origin (%s) may not use this path", originText(r))
	}
	if !o.namesServer(r.Host) {
		return fmt.Sprintf("browsers may change data only under a known name of this server, and %q is not one: add it to --web.hosts or --web.external-url", clipHost(r.Host))
	}
	return ""
}

// namesServer reports whether a Host header certainly names the server: an
// address, localhost, or one of the configured names.
func (o *originRules) namesServer(host string) bool {
	return isLocalName(host) || slices.Contains(o.hosts, canonicalHost(hostname(host)))
}

// isLocalName reports whether a Host header is an address or localhost, which an
// attacker cannot make resolve to another machine.
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

// readingPosts lists the paths at which POST only reads: the body holds
// parameters. Pages of other origins cannot read the response.
var readingPosts = []string{
	"/api/v1/query", "/api/v1/query_range", "/api/v1/query_exemplars", "/api/v1/explain", "/api/v1/format_query", "/api/v1/parse_query",
	"/api/v1/series", "/api/v1/labels", "/api/v1/read", "/api/v1/export",
}

// changesState reports whether a request may change data. No handler of GET does.
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

// clipHost bounds the length of a header quoted in an error message.
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

// canonicalHostPort returns host:port. A missing port is the scheme's default.
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
