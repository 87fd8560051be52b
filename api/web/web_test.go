package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func get(t *testing.T, h http.HandlerFunc, pattern, path string, header ...string) *http.Response {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc(pattern, h)
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPageNamesOnlyItsOwnAssets: every file that the page names is in the bundle,
// and nothing in it is inline.
func TestPageNamesOnlyItsOwnAssets(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var policy string
	index := func(w http.ResponseWriter, r *http.Request) { p.Index(w, r, func(s string) { policy = s }) }
	html := body(t, get(t, index, "GET /ui/{name}", "/ui/explore").Body)
	names := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1)
	if len(names) < 3 {
		t.Fatalf("the page names %d files:\n%s", len(names), html)
	}
	for _, m := range names {
		name, ok := strings.CutPrefix(m[1], "./assets/")
		if _, there := p.assets[name]; !ok || !there {
			t.Errorf("the page names %s", m[1])
		}
	}
	if regexp.MustCompile(`<style|style=|<script[^>]*>[^<]| on[a-z]+=`).MatchString(html) {
		t.Errorf("the page has inline code or styles:\n%s", html)
	}
	nonce := regexp.MustCompile(`nonce="([A-Z0-9]{20,})"`).FindStringSubmatch(html)
	if nonce == nil || !strings.Contains(policy, "'nonce-"+nonce[1]+"'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q, nonce %q", policy, nonce)
	}
	if again := body(t, get(t, index, "GET /ui/{name}", "/ui/explore").Body); again == html {
		t.Error("two responses have one nonce")
	}
}

// TestThemeOfTheCookie: the page has the chosen theme at once; other values are
// not taken over.
func TestThemeOfTheCookie(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	index := func(w http.ResponseWriter, r *http.Request) { p.Index(w, r, func(string) {}) }
	for cookie, want := range map[string]string{"tsdb-theme=dark": "dark", "tsdb-theme=light": "light", "tsdb-theme=x": "auto", "a=b": "auto"} {
		if html := body(t, get(t, index, "GET /ui/{name}", "/ui/explore", "Cookie", cookie).Body); !strings.Contains(html, `data-theme="`+want+`"`) {
			t.Errorf("%s: %s", cookie, html[:60])
		}
	}
}

func TestAssets(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	total := len(p.index)
	for name, a := range p.assets {
		total += len(a.zipped)
		path := "/ui/assets/" + name
		zipped := get(t, p.Asset, "GET /ui/assets/{name}", path, "Accept-Encoding", "br, gzip")
		if zipped.StatusCode != 200 || zipped.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(zipped.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, zipped.StatusCode, zipped.Header)
		}
		z, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(name, err)
		}
		plain := get(t, p.Asset, "GET /ui/assets/{name}", path)
		if plain.Header.Get("Content-Encoding") != "" || body(t, z) != body(t, plain.Body) {
			t.Errorf("%s differs without compression", name)
		}
		if r := get(t, p.Asset, "GET /ui/assets/{name}", path, "If-None-Match", `"x", W/`+a.etag); r.StatusCode != 304 {
			t.Errorf("%s with its tag: %d", name, r.StatusCode)
		}
		if r := get(t, p.Asset, "GET /ui/assets/{name}", path, "If-None-Match", `"x"`); r.StatusCode != 200 {
			t.Errorf("%s with another tag: %d", name, r.StatusCode)
		}
	}
	if limit := 250 << 10; total > limit {
		t.Errorf("the bundle takes %d bytes compressed, more than %d", total, limit)
	}
	if r := get(t, p.Asset, "GET /ui/assets/{name}", "/ui/assets/none.js"); r.StatusCode != 404 {
		t.Errorf("unknown file: %d", r.StatusCode)
	}
}

func TestGzipIsNegotiated(t *testing.T) {
	for header, want := range map[string]bool{"gzip": true, "GZIP": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0": false, "br": false, "": false} {
		if takesGzip(header) != want {
			t.Errorf("%q: %v", header, !want)
		}
	}
}

// TestDamagedBundleIsNamed: a bundle that the handlers cannot serve is refused at
// the start.
func TestDamagedBundleIsNamed(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	good := `<html data-theme="auto"><meta nonce="NONCE">`
	if _, err := open(fstest.MapFS{"dist/index.html": file(good), "dist/assets/a.js.gz": file(z.String())}); err != nil {
		t.Error(err)
	}
	for want, bundle := range map[string]fstest.MapFS{
		"index.html":     {"dist/assets/a.js.gz": file("")},
		"NONCE":          {"dist/index.html": file(`<html data-theme="auto">`), "dist/assets/a.js.gz": file("")},
		"data-theme":     {"dist/index.html": file(`NONCE`), "dist/assets/a.js.gz": file("")},
		"not compressed": {"dist/index.html": file(good), "dist/assets/a.js": file("")},
		"assets":         {"dist/index.html": file(good)},
	} {
		if _, err := open(bundle); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
