package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/config"
)

// Bounds of a form that is read for credentials before the request is
// authenticated. A longer form is served if its header has credentials.
const (
	maxLoginForm  = 64 << 10
	loginFormTime = 10 * time.Second
)

// login holds the credentials of a request.
type login struct {
	user, password string
	anyUser        bool // a token: a password without its user
}

// allowed reports whether a request has valid credentials or needs none. The
// error is not nil if the check could not be made.
func (s *Server) allowed(w http.ResponseWriter, r *http.Request, users map[string]config.Secret) (bool, error) {
	if len(users) == 0 || isOpen(r) {
		return true, nil
	}
	l, ok := loginOf(w, r)
	if !ok {
		return false, nil
	}
	return l.check(r.Context(), s.passwords, users)
}

func (l login) check(ctx context.Context, p *passwords, users map[string]config.Secret) (bool, error) {
	if l.anyUser {
		return p.ofAny(ctx, users, l.password)
	}
	return p.ofUser(ctx, users, l.user, l.password)
}

// isOpen reports whether a request needs no credentials: browsers send none with
// CORS preflight requests, InfluxDB requires none on the paths by which clients
// probe it, and the page asks for them itself: its files hold no data.
func isOpen(r *http.Request) bool {
	switch r.Method {
	case http.MethodOptions:
		return r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
	case http.MethodGet, http.MethodHead:
		return r.URL.Path == "/ping" || r.URL.Path == "/health" || r.URL.Path == "/ready" || isPagePath(r.URL.Path)
	}
	return false
}

// loginOf returns the credentials of a request. On the paths of InfluxDB the
// parameters u and p take precedence over the header, as in InfluxDB.
func loginOf(w http.ResponseWriter, r *http.Request) (login, bool) {
	influx := isInfluxPath(r.URL.Path)
	if influx {
		if q := r.URL.Query(); q.Get("u") != "" {
			return login{user: q.Get("u"), password: q.Get("p")}, true
		}
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return parseAuthorization(header)
	}
	if influx {
		return formLogin(w, r)
	}
	return login{}, false
}

// parseAuthorization parses "Basic base64(user:password)" and the tokens of
// InfluxDB's clients, "Token …" or "Bearer …", which are user:password or the
// password of any user. A password that contains a colon needs its user.
func parseAuthorization(header string) (login, bool) {
	scheme, value, _ := strings.Cut(header, " ")
	value = strings.TrimSpace(value)
	switch strings.ToLower(scheme) {
	case "basic":
		decoded, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return login{}, false
		}
		value = string(decoded)
	case "token", "bearer":
		if !strings.Contains(value, ":") {
			return login{password: value, anyUser: true}, value != ""
		}
	default:
		return login{}, false
	}
	user, password, ok := strings.Cut(value, ":")
	return login{user: user, password: password}, ok
}

// formLogin reads the parameters u and p of a form in the body. It restores the
// body for the handler.
func formLogin(w http.ResponseWriter, r *http.Request) (login, bool) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || r.URL.Path != "/query" || kind != "application/x-www-form-urlencoded" {
		return login{}, false
	}
	// A client without credentials must not hold the connection by sending slowly.
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(time.Now().Add(loginFormTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return login{}, false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxLoginForm+1))
	if err != nil || len(body) > maxLoginForm {
		return login{}, false
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return login{}, false
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), r.Body}
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("u") == "" {
		return login{}, false
	}
	return login{user: form.Get("u"), password: form.Get("p")}, true
}
