package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// request returns a request to a host; headers are pairs of name and value.
func request(method, path, host string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestOriginRules(t *testing.T) {
	rules := func(external string, hosts []string, cors string) *originRules {
		t.Helper()
		o, err := newOriginRules(external, hosts, cors)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	plain := rules("", nil, "")
	named := rules("https://metrics.example/tsdb/", []string{"tsdb.lan"}, "")
	cors := rules("", nil, `https://(ui|grafana)\.example`)
	const origin, site = "Origin", "Sec-Fetch-Site"
	for _, c := range []struct {
		name   string
		rules  *originRules
		method string
		path   string
		host   string
		header []string
		ok     bool
	}{
		// Programs other than browsers may use any name.
		{"program", plain, "POST", "/write", "127.0.0.1:9201", nil, true},
		{"program, service name", plain, "POST", "/write", "tsdb:9201", nil, true},
		{"program, host.docker.internal", plain, "POST", "/api/v1/write", "host.docker.internal:9201", nil, true},
		{"program behind a proxy", plain, "POST", "/api/v1/admin/flush", "metrics.example", []string{"X-Forwarded-For", "192.0.2.1"}, true},

		// Pages of the server itself.
		{"own page", plain, "POST", "/write", "127.0.0.1:9201", []string{origin, "http://127.0.0.1:9201"}, true},
		{"own page, localhost", plain, "POST", "/api/v1/admin/flush", "localhost:9201", []string{origin, "http://localhost:9201", site, "same-origin"}, true},
		{"own page, IPv6", plain, "POST", "/write", "[::1]:9201", []string{origin, "http://[::1]:9201"}, true},
		{"own page, default port", plain, "POST", "/write", "192.0.2.5", []string{origin, "http://192.0.2.5:80"}, true},
		{"own page, TLS ended before", plain, "POST", "/write", "192.0.2.5", []string{origin, "https://192.0.2.5"}, true},
		{"own page, no Origin", plain, "POST", "/write", "127.0.0.1:9201", []string{site, "same-origin"}, true},
		{"the user himself", plain, "POST", "/write", "127.0.0.1:9201", []string{site, "none"}, true},

		// Pages of other origins.
		{"foreign page", plain, "POST", "/write", "127.0.0.1:9201", []string{origin, "https://evil.example"}, false},
		{"foreign page, remote write", plain, "POST", "/api/v1/write", "127.0.0.1:9201", []string{origin, "https://evil.example", site, "cross-site"}, false},
		{"foreign page, no Origin", plain, "POST", "/write", "127.0.0.1:9201", []string{site, "cross-site"}, false},
		{"page of the same site", plain, "POST", "/write", "127.0.0.1:9201", []string{site, "same-site"}, false},
		{"only Sec-Fetch-Mode", plain, "POST", "/write", "127.0.0.1:9201", []string{"Sec-Fetch-Mode", "no-cors"}, false},
		{"file or sandbox", plain, "POST", "/write", "127.0.0.1:9201", []string{origin, "null"}, false},
		{"other port", plain, "POST", "/write", "127.0.0.1:9201", []string{origin, "http://127.0.0.1:3000"}, false},
		{"extension", plain, "POST", "/write", "127.0.0.1:9201", []string{origin, "chrome-extension://abc"}, false},
		{"contradiction", plain, "POST", "/write", "127.0.0.1:9201", []string{origin, "http://127.0.0.1:9201", site, "cross-site"}, false},
		{"foreign DELETE", plain, "DELETE", "/anything", "127.0.0.1:9201", []string{origin, "https://evil.example"}, false},
		{"foreign PUT of a query", plain, "PUT", "/api/v1/query", "127.0.0.1:9201", []string{origin, "https://evil.example"}, false},

		// DNS rebinding: a name of the attacker resolves to the server.
		{"rebinding", plain, "POST", "/write", "evil.example:9201", []string{origin, "http://evil.example:9201"}, false},
		{"rebinding, no Origin", plain, "POST", "/api/v1/admin/flush", "evil.example:9201", []string{site, "same-origin"}, false},
		{"rebinding, localhost in it", plain, "POST", "/write", "localhost.evil.example", []string{origin, "http://localhost.evil.example"}, false},
		{"rebinding, no Host", plain, "POST", "/write", "", []string{site, "same-origin"}, false},

		// Configured names.
		{"external URL", named, "POST", "/write", "metrics.example", []string{origin, "https://metrics.example"}, true},
		{"external URL, Host rewritten by the proxy", named, "POST", "/write", "127.0.0.1:9201", []string{origin, "https://metrics.example"}, true},
		{"external URL, other scheme and rewritten Host", named, "POST", "/write", "127.0.0.1:9201", []string{origin, "http://metrics.example"}, false},
		{"external URL, case and dot", named, "POST", "/write", "Metrics.Example.:443", []string{origin, "https://metrics.example"}, true},
		{"named host", named, "POST", "/write", "TSDB.lan:9201", []string{origin, "http://tsdb.lan:9201"}, true},
		{"name that is not configured", plain, "POST", "/write", "tsdb.lan:9201", []string{origin, "http://tsdb.lan:9201"}, false},
		{"foreign page and a named host", named, "POST", "/write", "tsdb.lan:9201", []string{origin, "https://evil.example"}, false},

		// Allowed origins may write, but not use admin paths.
		{"allowed origin", cors, "POST", "/write", "127.0.0.1:9201", []string{origin, "https://ui.example", site, "cross-site"}, true},
		{"allowed origin, unknown Host", cors, "POST", "/write", "evil.example", []string{origin, "https://ui.example"}, false},
		{"allowed origin, admin", cors, "POST", "/api/v1/admin/flush", "127.0.0.1:9201", []string{origin, "https://ui.example"}, false},
		{"pattern is anchored", cors, "POST", "/write", "127.0.0.1:9201", []string{origin, "https://ui.example.evil"}, false},
		{"origin that is not allowed", cors, "POST", "/write", "127.0.0.1:9201", []string{origin, "https://evil.example"}, false},

		// Reads are allowed: the browser hides the response from the page.
		{"foreign GET", plain, "GET", "/api/v1/query", "evil.example", []string{origin, "https://evil.example"}, true},
		{"foreign query by POST", plain, "POST", "/api/v1/query", "evil.example", []string{origin, "https://evil.example"}, true},
		{"foreign preflight", plain, "OPTIONS", "/write", "evil.example", []string{origin, "https://evil.example"}, true},
	} {
		r := request(c.method, "http://x"+c.path, c.host, c.header...)
		if got := c.rules.refusal(r, under(c.path, "/api/v1/admin")); (got == "") != c.ok {
			t.Errorf("%s: refusal %q, want ok %v", c.name, got, c.ok)
		}
	}
}

func TestOriginSettingsAreChecked(t *testing.T) {
	for _, c := range []struct {
		external string
		hosts    []string
		cors     string
		ok       bool
	}{
		{"", nil, "", true}, {"http://a", nil, "", true}, {"https://a:8443/x/", []string{"b", "c.lan"}, ".*", true},
		{"a", nil, "", false}, {"ftp://a", nil, "", false}, {"http://", nil, "", false},
		{"", []string{"http://a"}, "", false}, {"", []string{"a:80"}, "", false}, {"", []string{"*.a"}, "", false}, {"", []string{""}, "", false},
		{"", nil, "(", false},
	} {
		if _, err := newOriginRules(c.external, c.hosts, c.cors); (err == nil) != c.ok {
			t.Errorf("%q %q %q: %v", c.external, c.hosts, c.cors, err)
		}
	}
}
