package api

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWebConfigurationIsInForce: TLS, headers, rate limit and users of the web
// configuration file are in force.
func TestWebConfigurationIsInForce(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	file := filepath.Join(dir, "web.yml")
	const cert = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
	users := "basic_auth_users:\n  ann: " + string(hashOf(t, "secret")) + "\n"
	for _, c := range []struct {
		name, content, proto, frame string
		codes                       []int // of one request after the other
	}{
		{"TLS", cert + users, "HTTP/2.0", "DENY", []int{200, 200, 200}},
		{"without HTTP/2", cert + users + "http_server_config:\n  http2: false\n", "HTTP/1.1", "DENY", []int{200, 200}},
		{"headers", cert + users + "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n", "HTTP/2.0", "sameorigin", []int{200}},
		{"rate", cert + users + "rate_limit:\n  interval: 1h\n  burst: 2\n", "HTTP/2.0", "DENY", []int{200, 200, 429}},
		{"rate, plain text", users + "rate_limit:\n  interval: 1h\n  burst: 1\n", "HTTP/1.1", "DENY", []int{200, 429}},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, file, []byte(c.content))
			s := newTestServer(t, Options{WebConfigFile: file})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() { done <- s.Serve(l) }()
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
			scheme := "https://"
			if c.name == "rate, plain text" {
				scheme = "http://"
			}
			for i, want := range c.codes {
				r, err := http.NewRequest("GET", scheme+l.Addr().String()+"/-/healthy", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.SetBasicAuth("ann", "secret")
				resp, err := (&http.Client{Transport: transport}).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != want || resp.Proto != c.proto || want == 200 && resp.Header.Get("X-Frame-Options") != c.frame {
					t.Errorf("request %d: %d %s %v", i, resp.StatusCode, resp.Proto, resp.Header)
				}
			}
			transport.CloseIdleConnections()
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWebConfigurationIsReloadedOnChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	first := time.Now()
	set := func(content string) {
		t.Helper()
		write(t, file, []byte(content))
		first = first.Add(time.Second)
		if err := os.Chtimes(file, first, first); err != nil {
			t.Fatal(err)
		}
	}
	set("basic_auth_users:\n  ann: " + string(hashOf(t, "a")) + "\n")
	c, err := openWebConfig(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, users int, ok bool) {
		t.Helper()
		conf, err := c.current()
		if (err == nil) != ok || ok && len(conf.Users) != users {
			t.Errorf("%s: %+v, %v", what, conf, err)
		}
	}
	check("one user", 1, true)
	set("basic_auth_users:\n  bob: " + string(hashOf(t, "b")) + "\n  ann: " + string(hashOf(t, "a")) + "\n")
	check("two users", 2, true)
	for _, bad := range []string{"basic_auth_user: {}\n", "basic_auth_users:\n  ann: plain text\n", "\t\n", "http_server_config:\n  headers:\n    X-Other: x\n", "tls_server_config:\n  cert_file: missing.pem\n  key_file: missing.pem\n"} {
		set(bad)
		check(bad, 0, false)
	}
	set("")
	check("an empty file", 0, true)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	check("no file", 0, false)
	if _, err := openWebConfig(file, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing file is taken at the start")
	}
}
