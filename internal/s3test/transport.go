package s3test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
)

// earlyAnswers is a transport, over a connection for each request, that returns an answer
// which the service gives before it has read the request's body. versitygw refuses a
// condition so and closes the connection; http.Transport returns the error of the write
// then, if it comes first.
type earlyAnswers struct{}

// RoundTrip implements http.RoundTripper.
func (earlyAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	var d net.Dialer
	conn, err := d.DialContext(r.Context(), "tcp", r.URL.Host)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(r.Context(), func() { conn.Close() })
	body := r.Body
	out := r.Clone(r.Context())
	out.Close = true
	if body != nil {
		out.Body = io.NopCloser(body)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = out.Write(conn) // what the service makes of it is read below
		if body != nil {
			_, _ = io.Copy(io.Discard, body) // so that the client can read the answer
		}
	}()
	end := func() {
		stop()
		conn.Close()
		<-sent
	}
	answers := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(answers, r)
		if err != nil {
			end()
			return nil, err
		}
		if resp.StatusCode >= http.StatusOK { // not 100 Continue
			resp.Body = &closingBody{resp.Body, end}
			return resp, nil
		}
	}
}

// closingBody is the body of an answer that ends its connection.
type closingBody struct {
	io.ReadCloser
	end func()
}

// Close implements io.Closer.
func (b *closingBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}
