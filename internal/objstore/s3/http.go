package s3

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	dialTimeout   = 10 * time.Second
	maxIdleConns  = 32 // to the service: more than one process has requests
	idleConnLimit = 90 * time.Second
	expectTimeout = time.Second // after which a large body is sent without being asked for
)

// errIdle is the cause with which a request ends on whose connection nothing moves.
var errIdle error = idleError{}

// idleError is a timeout to those who classify errors of the network.
type idleError struct{}

func (idleError) Error() string   { return "no byte was received or sent for too long" }
func (idleError) Timeout() bool   { return true }
func (idleError) Temporary() bool { return true }

// client sends requests and ends those on whose connection nothing moves for idle.
type client struct {
	http *http.Client
	idle time.Duration
}

func newClient(idle time.Duration) *client {
	return &client{idle: idle, http: &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: dialTimeout,
			MaxIdleConns:        maxIdleConns,
			MaxIdleConnsPerHost: maxIdleConns,
			IdleConnTimeout:     idleConnLimit,
			// A large body is sent once the service has looked at the conditions.
			ExpectContinueTimeout: expectTimeout,
			DisableCompression:    true, // ranges are of stored bytes
		},
		// A signature is for one host: the SDK reports the redirection.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Do implements the HTTP client of the SDK.
func (c *client) Do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watchdog{idle: c.idle, cancel: cancel}
	w.timer = time.AfterFunc(c.idle, func() { cancel(errIdle) })
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &watchedBody{ReadCloser: req.Body, ctx: ctx, w: w, sent: true}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		w.stop()
		if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	w.reset()
	resp.Body = &watchedBody{ReadCloser: resp.Body, ctx: ctx, w: w}
	return resp, nil
}

// watchdog cancels a request unless it is reset in time.
type watchdog struct {
	idle   time.Duration
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (w *watchdog) reset() { w.timer.Reset(w.idle) }
func (w *watchdog) stop()  { w.timer.Stop() }

// watchedBody resets a watchdog with each read of a body.
type watchedBody struct {
	io.ReadCloser
	ctx  context.Context // of the request
	w    *watchdog
	sent bool // the body is that of the request, whose end is not that of the exchange
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.w.reset()
	}
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(b.ctx), errIdle) {
		err = errIdle
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	if !b.sent {
		b.w.stop()
		b.w.cancel(nil)
	}
	return err
}
