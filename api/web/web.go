package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed dist
var dist embed.FS

// asset is a file of the bundle.
type asset struct {
	zipped      []byte // gzip
	contentType string
	etag        string
}

// Page serves the bundle. Create it with New.
type Page struct {
	index  string // html with the placeholders below
	assets map[string]asset
}

// Placeholders of index.html.
const (
	nonceHere = "NONCE"
	themeHere = `data-theme="auto"`
)

// New reads the embedded bundle.
func New() (*Page, error) {
	return open(dist)
}

func open(bundle fs.FS) (*Page, error) {
	index, err := fs.ReadFile(bundle, "dist/index.html")
	if err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	p := &Page{index: string(index), assets: make(map[string]asset)}
	for _, placeholder := range []string{nonceHere, themeHere} {
		if strings.Count(p.index, placeholder) != 1 {
			return nil, fmt.Errorf("index.html of the page holds %q %d times, not once", placeholder, strings.Count(p.index, placeholder))
		}
	}
	files, err := fs.ReadDir(bundle, "dist/assets")
	if err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".gz")
		if !ok {
			return nil, fmt.Errorf("file %s of the page is not compressed", f.Name())
		}
		b, err := fs.ReadFile(bundle, "dist/assets/"+f.Name())
		if err != nil {
			return nil, fmt.Errorf("read the page: %w", err)
		}
		sum := sha256.Sum256(b)
		p.assets[name] = asset{zipped: b, contentType: contentType(name), etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return p, nil
}

// contentType returns the type of a file of the bundle; it does not depend on
// the machine's table of types.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// Policy returns the content security policy of the page: its own scripts, styles
// and requests, and styles with the nonce. Texts never become markup (trusted
// types).
func Policy(nonce string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce + "'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

// ThemeCookie holds the theme that the user has chosen, "dark" or "light".
// Without it the page has that of the system.
const ThemeCookie = "tsdb-theme"

// Index sends the page. setPolicy receives the content security policy, before
// the body is written.
func (p *Page) Index(w http.ResponseWriter, r *http.Request, setPolicy func(policy string)) {
	nonce := rand.Text()
	setPolicy(Policy(nonce))
	html := strings.Replace(p.index, nonceHere, nonce, 1)
	if c, err := r.Cookie(ThemeCookie); err == nil && (c.Value == "dark" || c.Value == "light") {
		html = strings.Replace(html, themeHere, `data-theme="`+c.Value+`"`, 1)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // the nonce is for one response
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = io.WriteString(w, html) // an error means that the client has disconnected
}

// Asset sends the file that the path value "name" names.
func (p *Page) Asset(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Etag", a.etag)
	h.Set("Vary", "Accept-Encoding")
	if etagMatches(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if takesGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", fmt.Sprint(len(a.zipped)))
		_, _ = w.Write(a.zipped)
		return
	}
	z, err := gzip.NewReader(bytes.NewReader(a.zipped))
	if err != nil {
		http.Error(w, "the page is damaged in the program: "+err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, z)
}

// etagMatches reports whether If-None-Match names the tag.
func etagMatches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

// takesGzip reports whether Accept-Encoding allows gzip.
func takesGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.ReplaceAll(q, " ", "") != "q=0"
		}
	}
	return false
}
