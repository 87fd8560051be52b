package api

import (
	"net/http"
	"slices"
	"strings"
)

// influxPrefixes are those under which the paths of InfluxDB are served too: clients
// that are configured for other servers send to them.
var influxPrefixes = []string{"/influx", "/influxdb"}

// isInfluxPath reports whether a path is one of InfluxDB's, at which its clients'
// credentials and forms of errors apply.
func isInfluxPath(path string) bool {
	return slices.Contains([]string{"/write", "/query", "/ping", "/health", "/ready"}, path) || strings.HasPrefix(path, "/api/v2/") || strings.HasPrefix(path, "/api/v3/")
}

// cutInfluxPrefix removes the prefix of InfluxDB's paths, before any handler sees the
// path. Other paths below a prefix are not served.
func cutInfluxPrefix(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, prefix := range influxPrefixes {
			path, ok := strings.CutPrefix(r.URL.Path, prefix)
			if !ok || !isInfluxPath(path) {
				continue
			}
			u := *r.URL
			u.Path, u.RawPath = path, strings.TrimPrefix(u.RawPath, prefix)
			cut := r.WithContext(r.Context()) // a copy
			cut.URL = &u
			r = cut
			break
		}
		next.ServeHTTP(w, r)
	})
}
