package main

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/prompb"
)

// readServer answers reads with two samples of one series, one of an hour ago and one of 40
// days ago, if the request lets it.
func readServer(t *testing.T, allow func(*http.Request) bool) *httptest.Server {
	t.Helper()
	now := time.Now().UnixMilli()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allow(r) {
			http.Error(w, "who is that", http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/metadata") {
			http.NotFound(w, r)
			return
		}
		body := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		raw, _ := s2.Decode(nil, body)
		var req prompb.ReadRequest
		if err := req.Unmarshal(raw); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		result := &prompb.QueryResult{}
		for _, ts := range []int64{now - 40*24*3600_000, now - 3600_000} {
			if q := req.Queries[0]; ts >= q.StartTimestampMs && ts <= q.EndTimestampMs {
				result.Timeseries = append(result.Timeseries, &prompb.TimeSeries{
					Labels: []prompb.Label{{Name: "__name__", Value: "m"}}, Samples: []prompb.Sample{{Value: 1, Timestamp: ts}},
				})
			}
		}
		b, _ := (&prompb.ReadResponse{Results: []*prompb.QueryResult{result}}).Marshal()
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(s2.EncodeSnappy(nil, b))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestImportByRemoteRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name, content string) string {
		path := filepath.Join(dir, name)
		if content != "" {
			must(t, os.WriteFile(path, []byte(content), 0o600))
		}
		return path
	}
	password, token := at("password", "secret\n"), at("token", "abc\n")
	basic := func(r *http.Request) bool {
		user, pass, _ := r.BasicAuth()
		return user == "ann" && pass == "secret" && r.Header.Get("X-Scope-OrgID") == "team"
	}
	bearer := func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer abc" }
	since := func(days int) string {
		return fmt.Sprint(time.Now().Add(-time.Duration(days) * 24 * time.Hour).Unix())
	}
	for i, c := range []struct {
		allow func(*http.Request) bool
		start string
		args  []string
		want  string // in what is printed
		code  int
	}{
		{basic, since(3), []string{"--from.user", "ann", "--from.password-file", password, "--from.header", "X-Scope-OrgID: team"}, "1 imported", exitOK},
		{bearer, since(3), []string{"--from.token-file", token}, "1 imported", exitOK},
		{bearer, since(3), []string{"--from.user", "ann", "--from.password-file", password}, "401 Unauthorized: who is that", exitFailure},
		{bearer, since(50), []string{"--from.token-file", token}, ", of 1 that were looked at", exitFailure},
		{bearer, since(50), []string{"--from.token-file", token, "--skip-old"}, "too_old", exitOK},
		{bearer, since(50), []string{"--from.token-file", token, "--retention.raw", "60d"}, "2 imported", exitOK},
		{bearer, since(35), []string{"--from.token-file", token}, "1 imported", exitOK}, // nothing of it is too old
		{bearer, since(50), []string{"--from.token-file", token, "--dry-run"}, "too_old", exitOK},
	} {
		s := readServer(t, c.allow)
		ca := at("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
		to := dataDir(t, dir, fmt.Sprint("data", i))
		args := append([]string{"import", "remote-read", "--from", s.URL, "--to", to, "--start", c.start, "--from.ca", ca}, c.args...)
		stdout, stderr, code := runCommand(args...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%v: exit %d, %q %q, want %q", c.args, code, stdout, stderr, c.want)
		}
	}
	s := readServer(t, bearer)
	if _, stderr, code := runCommand("import", "remote-read", s.URL, "--to", at("x", ""), "--start", since(1)); code != exitFailure || !strings.Contains(stderr, "certificate") {
		t.Errorf("an unknown authority: exit %d, %q", code, stderr)
	}
	if _, stderr, code := runCommand("import", "remote-read", s.URL, "--to", at("y", ""), "--start", since(1), "--from.insecure", "--from.token-file", token); code != exitOK {
		t.Errorf("exit %d, %q", code, stderr)
	}
	for want, args := range map[string][]string{
		"--start is missing":   {"remote-read", "http://p"},
		"one server at a time": {"remote-read", "http://p", "http://q"},
		"--match":              {"remote-read", "http://p", "--start", "0", "--match", "{"},
		"is no address":        {"remote-read", "p:9090", "--start", "0"},
		"needs its key":        {"remote-read", "http://p", "--start", "0", "--from.cert", "x"},
		"exclude each other":   {"remote-read", "http://p", "--start", "0", "--from.user", "x", "--from.token-file", token},
		"is no header":         {"remote-read", "http://p", "--start", "0", "--from.header", "x"},
		"of remote-read only":  {"lines", "x", "--start", "0"},
	} {
		if _, stderr, code := runCommand(append([]string{"import", "--to", "x"}, args...)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
}
