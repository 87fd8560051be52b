package api

import (
	"net/http"
	"net/netip"

	"golang.org/x/time/rate"

	"tsdb/api/adminctx"
)

// guard refuses requests that browsers may not send on behalf of their page, and
// restricts the admin and profile pages to loopback peers unless the settings
// open them to all.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var flag string
		admin, pprof := under(r.URL.Path, "/api/v1/admin") || r.URL.Path == "/api/v2/delete" || r.URL.Path == "/-/reload", under(r.URL.Path, "/debug/pprof")
		switch {
		case admin && !s.opts.EnableAdmin:
			flag = "--web.enable-admin-api"
		case pprof && !s.opts.EnablePprof:
			flag = "--web.enable-pprof"
		}
		if text := s.origins.refusal(r, admin); text != "" {
			s.refuse(w, r, http.StatusForbidden, text)
			return
		}
		if flag != "" && !s.fromLoopback(r) {
			s.refuse(w, r, http.StatusForbidden, "only peers on this machine, under an address or the name localhost, may use this path unless the server runs with "+flag)
			return
		}
		if r.URL.Path == "/query" && s.isAdmin(r) { // statements that delete
			r = r.WithContext(adminctx.Allow(r.Context()))
		}
		next.ServeHTTP(w, r)
	})
}

// isAdmin reports whether the client could use the admin paths.
func (s *Server) isAdmin(r *http.Request) bool {
	return s.origins.refusal(r, true) == "" && (s.opts.EnableAdmin || s.fromLoopback(r))
}

func under(path, root string) bool {
	return path == root || len(path) > len(root) && path[:len(root)] == root && path[len(root)] == '/'
}

// fromLoopback reports whether the client runs on this machine. A loopback peer
// is not the client if a header says that it is a proxy, or that its browser acts
// for a page of another site. A Host other than an address or localhost may be a
// name that an attacker resolves to this machine. So headers can only deny
// access, never grant it.
func (s *Server) fromLoopback(r *http.Request) bool {
	if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" || !isLocalName(r.Host) {
		return false
	}
	if p := s.origins.pageOf(r); p != noPage && p != ownPage {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// limitRate sets up the rate limit of the web configuration file. As in the
// exporter toolkit, the value read at startup stays in force.
func (s *Server) limitRate() error {
	conf, err := s.config.current()
	if err == nil && conf.RateLimiterConfig.Interval != 0 {
		s.rate = rate.NewLimiter(rate.Every(conf.RateLimiterConfig.Interval), conf.RateLimiterConfig.Burst)
	}
	return err
}

// authenticate refuses requests without the credentials of a user of the web
// configuration file.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conf, err := s.config.current()
		if err != nil {
			s.refuse(w, r, http.StatusInternalServerError, "the web configuration cannot be used; the server's log says why")
			return
		}
		switch ok, err := s.allowed(w, r, conf.Users); {
		case err != nil:
			w.Header().Set("Retry-After", "1")
			s.refuse(w, r, http.StatusServiceUnavailable, err.Error())
		case !ok:
			w.Header().Set("WWW-Authenticate", challenge(r))
			s.refuse(w, r, http.StatusUnauthorized, "unauthorized")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// challenge returns the scheme that a client without credentials is asked for. The
// page has a form for them, so its requests name a scheme that no browser knows:
// to Basic the browser would open a dialog of its own.
func challenge(r *http.Request) string {
	if r.Header.Get(pageHeader) != "" {
		return `Page realm="tsdb"`
	}
	return `Basic realm="tsdb"`
}

// refuse answers a request that is not passed to a door.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if s.opts.Refuse != nil && s.opts.Refuse(w, r, status, text) {
		return
	}
	kind := "forbidden"
	switch status {
	case http.StatusUnauthorized:
		kind = "unauthorized"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		kind = "unavailable"
	case http.StatusInternalServerError:
		kind = "internal"
	}
	writeError(w, status, kind, text)
}

// contentPolicy allows a page its inline styles and nothing else.
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

// protect enforces the rate limit and sets the security headers of responses,
// unless the web configuration file has set them, and the CORS headers for
// allowed origins.
func (s *Server) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.rate != nil && !s.rate.Allow() {
			s.refuse(w, r, http.StatusTooManyRequests, "more requests than rate_limit of the web configuration allows")
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		conf, err := s.config.current()
		if err != nil {
			s.refuse(w, r, http.StatusInternalServerError, "the web configuration cannot be used; the server's log says why")
			return
		}
		for name, value := range conf.HTTPConfig.Header {
			h.Set(name, value)
		}
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			policy := contentPolicy
			if h.Get("X-Frame-Options") == "" {
				h.Set("X-Frame-Options", "DENY")
				policy += "; frame-ancestors 'none'"
			}
			if h.Get("Content-Security-Policy") == "" {
				h.Set("Content-Security-Policy", policy)
			}
		}
		if s.origins.cors != nil {
			h.Add("Vary", "Origin")
			if origin := r.Header.Get("Origin"); s.origins.cors.MatchString(origin) && origin != "" {
				h.Set("Access-Control-Allow-Origin", origin)
				h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
				h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Encoding, Content-Type, Origin")
				h.Set("Access-Control-Expose-Headers", "Date, Retry-After, X-Influxdb-Build, X-Influxdb-Error, X-Influxdb-Version, X-Platform-Error-Code")
			}
		}
		next.ServeHTTP(w, r)
	})
}
