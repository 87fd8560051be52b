package api

import (
	"net/http"
	"strings"
)

// MountOwn mounts the server's own paths except /metrics, for the test of the list
// of served paths.
func MountOwn(mux *http.ServeMux) {
	s := &Server{}
	s.mountPages(mux)
	s.mountBrowser(mux)
	s.mountProfiles(mux)
}

// ServedPaths returns the listed paths with their methods.
func ServedPaths() map[string][]string {
	all := map[string][]string{}
	for _, s := range served {
		for path := range strings.FieldsSeq(s.paths) {
			all[path] = append(all[path], strings.Split(s.methods, ", ")...)
		}
	}
	return all
}
