package main

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"tsdb/internal/await"
)

// webUsers writes a web configuration file with users, given as name, password.
func webUsers(t *testing.T, file string, users ...string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("basic_auth_users:\n")
	for i := 0; i < len(users); i += 2 {
		hash, err := bcrypt.GenerateFromPassword([]byte(users[i+1]), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  %s: %s\n", users[i], hash)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Clients of InfluxDB 1.x and 2.x and of Prometheus send their credentials over
// HTTP in different forms; all are accepted.
func TestClientsSendCredentialsInTheirOwnForm(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	webUsers(t, file, "ann", "open sesame", "bob", "pa:ss")
	s, client, _ := startService(t, "--web.config.file", file, "--self-scrape.interval", "0", "--web.enable-admin-api")
	base := strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready", func() bool {
		code, _, _ := exchange(t, client, "POST", base+"/write?u=ann&p=open+sesame", "")
		return code == 204
	})
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	const (
		v1 = `{"error":"authorization failed"}`
		v2 = `{"code":"unauthorized","message":"unauthorized access"}`
	)
	form := func(values ...string) string {
		v := url.Values{"q": {"SHOW DATABASES"}}
		for i := 0; i < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return v.Encode()
	}
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		code                     int
		says                     string // of a refusal, the whole
	}{
		{"1.x basic", "POST", "/write", "m v=1", []string{"Authorization", basic("ann:open sesame")}, 204, ""},
		{"1.x token", "POST", "/write", "m v=1", []string{"Authorization", "Token ann:open sesame"}, 204, ""},
		{"1.x password alone", "POST", "/write", "m v=1", []string{"Authorization", "Token open sesame"}, 204, ""},
		{"1.x bearer", "POST", "/write", "m v=1", []string{"Authorization", "Bearer open sesame"}, 204, ""},
		{"1.x parameters", "POST", "/write?db=x&u=ann&p=open+sesame", "m v=1", nil, 204, ""},
		{"1.x colon in a password", "POST", "/write?u=bob&p=pa:ss", "m v=1", nil, 204, ""},
		{"1.x colon in a token", "POST", "/write", "m v=1", []string{"Authorization", "Token bob:pa:ss"}, 204, ""},
		{"1.x doubled slash", "POST", "//write?u=ann&p=open+sesame", "m v=1", nil, 204, ""},
		{"query with parameters", "GET", "/query?q=SHOW+DATABASES&u=ann&p=open+sesame", "", nil, 200, ""},
		{"query with a form", "POST", "/query", form("u", "ann", "p", "open sesame"), []string{"Content-Type", "application/x-www-form-urlencoded"}, 200, ""},
		{"2.x token", "POST", "/api/v2/write?bucket=b", "m v=1", []string{"Authorization", "Token open sesame"}, 204, ""},
		{"2.x token with a user", "POST", "/api/v2/write?bucket=b", "m v=1", []string{"Authorization", "token ann:open sesame"}, 204, ""},
		{"2.x bearer", "POST", "/api/v2/write?bucket=b", "m v=1", []string{"Authorization", "Bearer open sesame"}, 204, ""},
		{"2.x basic", "POST", "/api/v2/write?bucket=b", "m v=1", []string{"Authorization", basic("bob:pa:ss")}, 204, ""},
		{"Prometheus with a bearer", "GET", "/api/v1/query?query=1", "", []string{"Authorization", "Bearer open sesame"}, 200, ""},

		{"1.x nothing", "POST", "/write", "m v=1", nil, 401, v1},
		{"1.x wrong password", "POST", "/write?u=ann&p=x", "m v=1", nil, 401, v1},
		{"1.x no password", "POST", "/write?u=ann", "m v=1", nil, 401, v1},
		{"1.x unknown user", "POST", "/write?u=eve&p=open+sesame", "m v=1", nil, 401, v1},
		{"1.x another's password", "POST", "/write", "m v=1", []string{"Authorization", "Token bob:open sesame"}, 401, v1},
		{"1.x wrong token", "POST", "/write", "m v=1", []string{"Authorization", "Token x"}, 401, v1},
		{"1.x empty token", "POST", "/write", "m v=1", []string{"Authorization", "Token "}, 401, v1},
		{"1.x another scheme", "POST", "/write", "m v=1", []string{"Authorization", "Digest ann"}, 401, v1},
		{"1.x no base64", "POST", "/write", "m v=1", []string{"Authorization", "Basic !"}, 401, v1},
		{"query with a wrong form", "POST", "/query", form("u", "ann", "p", "x"), []string{"Content-Type", "application/x-www-form-urlencoded"}, 401, v1},
		{"query with a form of no user", "POST", "/query", form(), []string{"Content-Type", "application/x-www-form-urlencoded"}, 401, v1},
		{"2.x nothing", "POST", "/api/v2/write?bucket=b", "m v=1", nil, 401, v2},
		{"2.x wrong token", "POST", "/api/v2/write?bucket=b", "m v=1", []string{"Authorization", "Token x"}, 401, v2},
		{"remote write", "POST", "/api/v1/write", "", nil, 401, "unauthorized"},
		{"parameters are InfluxDB's", "GET", "/api/v1/query?query=1&u=ann&p=open+sesame", "", nil, 401, `{"status":"error","errorType":"unauthorized","error":"unauthorized"}`},
		{"admin from this machine", "POST", "/api/v1/admin/flush", "", nil, 401, `{"status":"error","errorType":"unauthorized","error":"unauthorized"}`},

		// As in InfluxDB, health checks need no credentials.
		{"ping", "GET", "/ping", "", nil, 204, ""},
		{"health", "GET", "/health", "", nil, 200, ""},
		{"ready", "GET", "/ready", "", nil, 200, ""},
	} {
		for range 2 { // the second time from memory
			code, header, body := exchange(t, client, c.method, base+c.path, c.body, c.header...)
			body = strings.TrimSpace(body)
			if code != c.code || c.says != "" && body != c.says {
				t.Errorf("%s: %d %s, want %d %s", c.name, code, body, c.code, c.says)
			}
			if c.code == 401 && header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", c.name)
			}
			if (c.says == v1 || c.says == v2) && header.Get("X-Influxdb-Version") == "" {
				t.Errorf("%s: no X-Influxdb-Version", c.name)
			}
		}
	}

	// A changed file takes effect at once: removed users are refused, new ones
	// accepted.
	webUsers(t, file, "carl", "another one")
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	f := func(path string, want int, authorization string) {
		t.Helper()
		if code, _, body := exchange(t, client, "POST", base+path, "m v=1", "Authorization", authorization); code != want {
			t.Errorf("%s with %s: %d %s, want %d", path, authorization, code, body, want)
		}
	}
	f("/write", 401, "Token open sesame")
	f("/write", 401, basic("ann:open sesame"))
	f("/write", 204, "Token another one")
	// While the file is invalid all requests are refused.
	if err := os.WriteFile(file, []byte("basic_auth_user: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("/write", 500, "Token another one")
}
