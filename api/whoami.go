package api

import (
	"encoding/json"
	"net/http"
)

// whoamiView lists what the user of the page may do, so that the page offers nothing else.
type whoamiView struct {
	User string `json:"user"` // empty with a token, and without authentication
	// Authentication is whether the server has users.
	Authentication bool `json:"authentication"`
	// Admin is whether a request like this one may use the paths below /api/v1/admin.
	Admin bool `json:"admin"`
}

// whoami describes the client of a request that authenticate has let through.
func (s *Server) whoami(w http.ResponseWriter, r *http.Request) {
	v := whoamiView{Admin: s.isAdmin(asPost(r))}
	if conf, err := s.config.current(); err == nil && len(conf.Users) > 0 {
		v.Authentication = true
		if l, ok := loginOf(w, r); ok {
			v.User = l.user
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// An error means that the client has disconnected.
	_ = json.NewEncoder(w).Encode(struct {
		Status string     `json:"status"`
		Data   whoamiView `json:"data"`
	}{"success", v})
}

// asPost returns the request as one that changes data: pages may send fewer of these.
func asPost(r *http.Request) *http.Request {
	p := r.Clone(r.Context())
	p.Method, p.URL.Path = http.MethodPost, "/api/v1/admin/"
	return p
}
