package api

import "net/http"

// MountOwn mounts what the server itself answers besides /metrics, for the test
// of the list of what is served.
func MountOwn(mux *http.ServeMux) {
	s := &Server{}
	s.mountPages(mux)
	s.mountProfiles(mux)
}
