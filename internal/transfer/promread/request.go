package promread

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
)

// Bounds of answers.
const (
	maxErrorText = 4 << 10
	maxMetadata  = 64 << 20
	maxRetry     = 5 * time.Minute // of Retry-After
	// stallLimit bounds the time in which nothing arrives, the wait for an answer included.
	stallLimit = 5 * time.Minute
)

// passingError is an error that may pass: the request can be repeated.
type passingError struct {
	error
	wait time.Duration // that the server asks for; 0 = none
}

func (e *passingError) Unwrap() error { return e.error }

// The types of answers, as the protocol numbers them.
const (
	typeSamples = 0
	typeChunks  = 1
)

// encodeRequest returns a ReadRequest of one query, which prefers chunks. The end of the
// query is inclusive.
func encodeRequest(q request) []byte {
	var query []byte
	query = appendVarintField(query, 1, uint64(q.tr.Min))
	query = appendVarintField(query, 2, uint64(q.tr.Max-1))
	for _, m := range q.selector {
		var matcher []byte
		matcher = appendVarintField(matcher, 1, uint64(wireType(m.Type)))
		matcher = appendBytesField(matcher, 2, []byte(m.Name))
		matcher = appendBytesField(matcher, 3, []byte(m.Value))
		query = appendBytesField(query, 3, matcher)
	}
	message := appendBytesField(nil, 1, query)
	return appendBytesField(message, 2, []byte{typeChunks, typeSamples})
}

func appendVarintField(dst []byte, number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.VarintType), v)
}

func appendBytesField(dst []byte, number protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), b)
}

func wireType(t labels.MatchType) int {
	return map[labels.MatchType]int{labels.MatchEqual: 0, labels.MatchNotEqual: 1, labels.MatchRegexp: 2, labels.MatchNotRegexp: 3}[t]
}

// post sends the request of a unit and returns the answer. The caller closes its body.
func (s *Source) post(ctx context.Context, q request) (*http.Response, error) {
	body := s2.EncodeSnappy(nil, encodeRequest(q))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.read, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "Accept-Encoding": "snappy",
		"X-Prometheus-Remote-Read-Version": "0.1.0", "User-Agent": "tsdb",
	} {
		r.Header.Set(name, value)
	}
	resp, err := s.o.Client.Do(r)
	switch {
	case err != nil && !s.answered: // probably a wrong address or authority
		return nil, err
	case err != nil:
		return nil, &passingError{error: err}
	}
	s.answered = true
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, statusError(r, resp)
}

// statusError returns the error in an answer.
func statusError(r *http.Request, resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorText)) // as far as it can be read
	err := fmt.Errorf("%s answers %s: %s", r.URL.Redacted(), resp.Status, strings.ToValidUTF8(strings.TrimSpace(string(text)), ""))
	if strings.Contains(string(text), "sample limit") {
		err = fmt.Errorf("%w (ask for less at once with --window)", err)
	}
	if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
		return err
	}
	passing := &passingError{error: err}
	if n, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && n > 0 {
		passing.wait = min(time.Duration(n)*time.Second, maxRetry)
	}
	return passing
}

// streamed reports whether an answer is a stream of chunks. It fails for other programs'.
func streamed(resp *http.Response) (bool, error) {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/x-streamed-protobuf":
		return true, nil
	case err == nil && kind == "application/x-protobuf":
		return false, nil
	}
	return false, fmt.Errorf("%s answers with the type %q, which is none of remote read", resp.Request.URL.Redacted(), resp.Header.Get("Content-Type"))
}

// stallReader ends the request of a body in which nothing arrives for stallLimit.
type stallReader struct {
	body  io.Reader
	timer *time.Timer
}

var errStall = errors.New("nothing has arrived for " + stallLimit.String())

func newStallTimer(cancel context.CancelCauseFunc) *time.Timer {
	return time.AfterFunc(stallLimit, func() { cancel(errStall) })
}

func (r *stallReader) Read(p []byte) (int, error) {
	r.timer.Reset(stallLimit)
	n, err := r.body.Read(p)
	r.timer.Stop() // what is done with the bytes may take its time
	return n, err
}

// readMetadata passes the metadata on that the server has. A server without them is none
// the less read.
func (s *Source) readMetadata(ctx context.Context, emit transfer.Emit) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := newStallTimer(cancel)
	defer timer.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metadata, nil)
	if err != nil {
		return err
	}
	resp, err := s.o.Client.Do(r)
	if err != nil {
		return s.noMetadata(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s.noMetadata(ctx, statusError(r, resp))
	}
	var a struct {
		Data map[string][]struct {
			Type string
			Unit string
			Help string
		}
	}
	if err := json.NewDecoder(io.LimitReader(&stallReader{resp.Body, timer}, maxMetadata)).Decode(&a); err != nil {
		return s.noMetadata(ctx, err)
	}
	for name, list := range a.Data {
		if len(list) == 0 || name == "" {
			continue
		}
		m := model.Metadata{Type: list[0].Type, Unit: list[0].Unit, Help: list[0].Help}
		if err := emit(0, &transfer.Item{Metric: name, Metadata: m}); err != nil {
			return err
		}
	}
	return nil
}

// noMetadata logs why there are no metadata. Only the end of the context is an error.
func (s *Source) noMetadata(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errStall) {
		return ctx.Err()
	}
	s.o.Log.Warn("types and help texts of metrics are not read", "err", err)
	return nil
}
