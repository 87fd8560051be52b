package api

import (
	"net/http"
	"net/url"
	"strings"
)

// collapseSlashes serves paths with doubled slashes as those with single ones.
// Clients make them out of a base address that ends in a slash, and the mux
// would redirect them, which turns a POST into a GET or is not followed at all.
// Escaped slashes are part of a name and stay.
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
