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
		u := *r.URL
		u.Path, u.RawPath = path, b.String()
		clean := r.WithContext(r.Context()) // a copy
		clean.URL = &u
		next.ServeHTTP(w, clean)
	})
}
