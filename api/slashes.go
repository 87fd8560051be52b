package api

import (
	"net/http"
	"net/url"
	"strings"
)

// collapseSlashes replaces repeated slashes in paths by single ones. Clients
// whose base address ends in a slash send them, and the redirect of
// http.ServeMux turns a POST into a GET or is not followed. Escaped slashes are
// part of a name and are kept.
func collapseSlashes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := r.URL.EscapedPath()
		if !strings.Contains(raw, "//") {
			next.ServeHTTP(w, r)
			return
		}
		var b strings.Builder
		for i := range len(raw) {
			if raw[i] != '/' || i == 0 || raw[i-1] != '/' {
				b.WriteByte(raw[i])
			}
		}
		path, err := url.PathUnescape(b.String())
		if err != nil {
			writeError(w, http.StatusBadRequest, "bad_data", "invalid path")
			return
		}
		next.ServeHTTP(w, withPath(r, path, b.String()))
	})
}

// withPath returns a copy of a request with another path.
func withPath(r *http.Request, path, raw string) *http.Request {
	u := *r.URL
	u.Path, u.RawPath = path, raw
	moved := r.WithContext(r.Context()) // a copy
	moved.URL = &u
	return moved
}

// reroute serves requests under the path that route returns, so that everything behind
// it, the rules of pages of other origins too, knows the request by that path.
func reroute(route func(*http.Request) string, next http.Handler) http.Handler {
	if route == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := route(r); path != "" {
			r = withPath(r, path, "")
		}
		next.ServeHTTP(w, r)
	})
}
