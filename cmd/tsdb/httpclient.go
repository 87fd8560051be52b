package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// clientFlags say how a command speaks to a server: its authority, and who asks. User and
// password may also stand in the address.
type clientFlags struct {
	ca, cert, key         string // names of PEM files
	insecure              bool
	user                  string
	passwordFile          string
	tokenFile             string
	headers               stringList // NAME: VALUE
	responseHeaderTimeout time.Duration
}

// register adds the flags; prefix is that of their names, such as "from.".
func (c *clientFlags) register(fs *flag.FlagSet, prefix, whose string) {
	fs.StringVar(&c.ca, prefix+"ca", "", "PEM `file` of the authorities that may have signed the certificate of "+whose+", instead of the system's")
	fs.StringVar(&c.cert, prefix+"cert", "", "PEM `file` of the certificate that is shown to "+whose)
	fs.StringVar(&c.key, prefix+"key", "", "PEM `file` of its key")
	fs.BoolVar(&c.insecure, prefix+"insecure", false, "take any certificate of "+whose+": who listens on the way is not noticed")
	fs.StringVar(&c.user, prefix+"user", "", "`name` for basic authentication at "+whose)
	fs.StringVar(&c.passwordFile, prefix+"password-file", "", "`file` with the password")
	fs.StringVar(&c.tokenFile, prefix+"token-file", "", "`file` with a bearer token for "+whose)
	fs.Var(&c.headers, prefix+"header", "`header` of each request, such as 'X-Scope-OrgID: team'; may be given several times")
}

// client returns a client as the flags say. Credentials are sent to one host only, not to
// where it redirects.
func (c *clientFlags) client(host string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = c.responseHeaderTimeout
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: c.insecure} //nolint:gosec // as the flag says
	if c.ca != "" {
		pool, err := readPool(c.ca)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = pool
	}
	switch {
	case (c.cert == "") != (c.key == ""):
		return nil, usageError{errors.New("a certificate needs its key, and a key its certificate")}
	case c.cert != "":
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	header := http.Header{}
	for _, h := range c.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usageError{fmt.Errorf("%q is no header: want NAME: VALUE", h)}
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if c.user != "" && c.tokenFile != "" {
		return nil, usageError{errors.New("a user and a bearer token exclude each other")}
	}
	secret := func(file string) (string, error) {
		if file == "" {
			return "", nil
		}
		b, err := os.ReadFile(file)
		return strings.TrimRight(string(b), "\r\n"), err
	}
	password, err := secret(c.passwordFile)
	if err != nil {
		return nil, err
	}
	token, err := secret(c.tokenFile)
	if err != nil {
		return nil, err
	}
	switch {
	case c.user != "":
		r := &http.Request{Header: header}
		r.SetBasicAuth(c.user, password)
	case token != "":
		header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	}
	return &http.Client{Transport: &headerTransport{next: t, host: host, header: header}}, nil
}

// headerTransport adds headers to the requests to one host.
type headerTransport struct {
	next   *http.Transport
	host   string
	header http.Header
}

// RoundTrip implements http.RoundTripper.
func (t *headerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != t.host || len(t.header) == 0 {
		return t.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	for name, values := range t.header {
		r.Header[name] = values
	}
	return t.next.RoundTrip(r)
}

// CloseIdleConnections closes connections that are not in use.
func (t *headerTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// readPool reads certificates of authorities.
func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
