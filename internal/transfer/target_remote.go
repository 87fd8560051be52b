package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"tsdb/internal/transfer/stream"
)

// remoteRunBytes is the size of one request by default. The server divides it further
// if it is too much for its memory.
const remoteRunBytes = 64 << 20

// Remote is the Target of a running server. Each run is one request.
type Remote struct {
	address  string // of the endpoint
	client   *http.Client
	runBytes int64

	request *remoteRequest // nil between runs
}

// remoteRequest is a request under way.
type remoteRequest struct {
	pipe   *io.PipeWriter
	buffer *bufio.Writer
	stream *stream.Writer
	done   chan remoteResult // receives one value
}

type remoteResult struct {
	receipt Receipt
	err     error
}

// NewRemote returns the target of the server at an address such as
// http://user:password@localhost:9201. runBytes is the size of one request; 0 = the
// default.
func NewRemote(address string, runBytes int64, client *http.Client) (*Remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no address of a server, such as http://localhost:9201", address)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v1/admin/import"
	if runBytes <= 0 {
		runBytes = remoteRunBytes
	}
	return &Remote{address: u.String(), client: client, runBytes: runBytes}, nil
}

// Bounds implements Target.
func (r *Remote) Bounds(ctx context.Context) (b Bounds, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address, nil)
	if err != nil {
		return b, err
	}
	err = r.send(request, &b)
	if b.Setting != "" {
		b.Setting += " of the server"
	}
	return b, err
}

// send sends a request and decodes the data of the answer.
func (r *Remote) send(request *http.Request, data any) error {
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	var a struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &a); err != nil || a.Status != "success" {
		text := a.Error
		if text == "" {
			text = clip(strings.TrimSpace(string(body)))
		}
		return fmt.Errorf("%s answers %s: %s", request.URL.Redacted(), response.Status, text)
	}
	return json.Unmarshal(a.Data, data)
}

// begin starts the request of a run.
func (r *Remote) begin(ctx context.Context) error {
	read, write := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address, read)
	if err != nil {
		return err
	}
	q := &remoteRequest{pipe: write, buffer: bufio.NewWriterSize(write, 256<<10), done: make(chan remoteResult, 1)}
	go func() {
		var got Receipt
		err := r.send(request, &got)
		_ = read.CloseWithError(errors.New("the server has ended the request")) // ends a writer that waits
		q.done <- remoteResult{got, err}
	}()
	r.request = q
	q.stream, err = stream.NewWriter(q.buffer)
	return err
}

// Add implements Target.
func (r *Remote) Add(ctx context.Context, item *Item) error {
	if r.request == nil {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	if err := r.write(item); err != nil {
		return r.failed(err)
	}
	return nil
}

func (r *Remote) write(item *Item) error {
	w := r.request.stream
	if item.Metric != "" {
		if err := w.Metadata(item.Metric, item.Metadata); err != nil {
			return err
		}
	}
	if item.Samples == nil || item.Samples.Len() == 0 {
		return nil
	}
	if err := w.Samples(item.Labels, item.Samples); err != nil {
		return err
	}
	for _, e := range item.Exemplars {
		if err := w.Exemplar(e); err != nil {
			return err
		}
	}
	return nil
}

// failed returns the answer of the server to a request that could not be written, or
// the error of writing.
func (r *Remote) failed(err error) error {
	q := r.request
	r.request = nil
	_ = q.pipe.CloseWithError(err)
	if got := <-q.done; got.err != nil {
		return got.err
	}
	return err
}

// Full implements Target.
func (r *Remote) Full() bool { return r.request != nil && r.request.stream.Written() >= r.runBytes }

// Publish implements Target.
func (r *Remote) Publish(context.Context) (Receipt, error) {
	q := r.request
	if q == nil {
		return Receipt{}, nil
	}
	if err := errors.Join(q.stream.Close(), q.buffer.Flush()); err != nil {
		return Receipt{}, r.failed(err)
	}
	r.request = nil
	_ = q.pipe.Close() // never fails
	got := <-q.done
	return got.receipt, got.err
}

// Close implements Target. A run that was not published is given up.
func (r *Remote) Close() error {
	if r.request != nil {
		_ = r.failed(context.Canceled)
	}
	return nil
}
