package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"
)

// reply is the response to a write.
type reply struct {
	code       int
	retryAfter string
	body       string
}

func (r reply) acknowledged() bool { return r.code/100 == 2 }

// newHTTPClient returns a client with its own connections, so that a killed server
// does not affect other tests.
func newHTTPClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// remoteSeries is a series of a remote-write request.
type remoteSeries struct {
	labels  []string // alternating names and values, sorted by name
	samples []point
}

// encodeRemote encodes a remote-write 1 message. The generated code would omit values
// equal to zero, including minus zero.
func encodeRemote(series []remoteSeries) []byte {
	field := func(dst []byte, number protowire.Number, message []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), message)
	}
	var request []byte
	for _, s := range series {
		var one []byte
		for i := 0; i < len(s.labels); i += 2 {
			one = field(one, 1, field(field(nil, 1, []byte(s.labels[i])), 2, []byte(s.labels[i+1])))
		}
		for _, p := range s.samples {
			v := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(p.v))
			v = protowire.AppendVarint(protowire.AppendTag(v, 2, protowire.VarintType), uint64(p.t))
			one = field(one, 2, v)
		}
		request = field(request, 1, one)
	}
	return request
}

// writeRemote sends a remote-write 1 message.
func writeRemote(ctx context.Context, c *http.Client, base string, series []remoteSeries) (reply, error) {
	return send(ctx, c, base+"/api/v1/write", s2.EncodeSnappy(nil, encodeRemote(series)), http.Header{
		"Content-Type":                      {"application/x-protobuf"},
		"Content-Encoding":                  {"snappy"},
		"X-Prometheus-Remote-Write-Version": {"0.1.0"},
	})
}

// writeLines sends line protocol to the InfluxDB 1 endpoint, with times in
// milliseconds.
func writeLines(ctx context.Context, c *http.Client, base, db string, lines []byte) (reply, error) {
	return send(ctx, c, base+"/write?precision=ms&db="+url.QueryEscape(db), lines, http.Header{"Content-Type": {"text/plain"}})
}

func send(ctx context.Context, c *http.Client, address string, body []byte, header http.Header) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(string(body)))
	if err != nil {
		return reply{}, err
	}
	req.Header = header
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	// The status line has been received, so an error after it does not matter.
	_ = err
	return reply{code: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After"), body: string(b)}, nil
}

// answer is an answer of the query API.
type answer struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	Infos     []string        `json:"infos"`
}

// ask sends a form to the query API and returns the status code and the answer.
func ask(ctx context.Context, c *http.Client, base, path string, form url.Values) (int, *answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path+"?"+form.Encode(), nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	a := &answer{}
	if err := json.NewDecoder(resp.Body).Decode(a); err != nil {
		return resp.StatusCode, nil, fmt.Errorf("%s: %s: %w", path, resp.Status, err)
	}
	return resp.StatusCode, a, nil
}

// mustAsk is ask, but fails the test unless the request succeeds.
func mustAsk(t *testing.T, c *http.Client, base, path string, form url.Values) *answer {
	t.Helper()
	code, a, err := ask(t.Context(), c, base, path, form)
	if err != nil {
		t.Fatal(err)
	}
	if code != http.StatusOK || a.Status != "success" {
		t.Fatalf("%s %v: %d %s: %s", path, form, code, a.ErrorType, a.Error)
	}
	return a
}

// point is one sample in the API's format.
type point struct {
	t int64 // Unix milliseconds
	v float64
}

func (p *point) UnmarshalJSON(b []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a sample has %d parts", len(pair))
	}
	var err error
	if p.t, err = parseMillis(string(pair[0])); err != nil {
		return err
	}
	var text string
	if err := json.Unmarshal(pair[1], &text); err != nil {
		return err
	}
	p.v, err = strconv.ParseFloat(text, 64)
	return err
}

// parseMillis reads seconds with up to three decimals without going through a
// float.
func parseMillis(s string) (int64, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > 3 {
		return 0, fmt.Errorf("time %q is finer than a millisecond", s)
	}
	return strconv.ParseInt(whole+(fraction + "000")[:3], 10, 64)
}

// rawSeries is a series with all its samples.
type rawSeries struct {
	Metric map[string]string `json:"metric"`
	Values []point           `json:"values"`
}

// readRaw returns all samples of a selector in (end - window, end].
func readRaw(t *testing.T, c *http.Client, base, selector string, end time.Time, window time.Duration) []rawSeries {
	t.Helper()
	a := mustAsk(t, c, base, "/api/v1/query", url.Values{
		"query": {fmt.Sprintf("%s[%ds]", selector, int(window.Seconds()))},
		"time":  {seconds(end)},
	})
	var data struct {
		ResultType string      `json:"resultType"`
		Result     []rawSeries `json:"result"`
	}
	if err := json.Unmarshal(a.Data, &data); err != nil {
		t.Fatal(err)
	}
	if data.ResultType != "matrix" || len(a.Warnings) > 0 {
		t.Fatalf("%s: result type %s, warnings %v", selector, data.ResultType, a.Warnings)
	}
	return data.Result
}

// vectorSample is one row of an instant vector.
type vectorSample struct {
	Metric map[string]string `json:"metric"`
	Value  point             `json:"value"`
}

// queryVector evaluates an expression of floats at one time.
func queryVector(t *testing.T, c *http.Client, base, query string, at time.Time) []vectorSample {
	t.Helper()
	a := mustAsk(t, c, base, "/api/v1/query", url.Values{"query": {query}, "time": {seconds(at)}})
	var data struct {
		Result []vectorSample `json:"result"`
	}
	if err := json.Unmarshal(a.Data, &data); err != nil {
		t.Fatal(err)
	}
	return data.Result
}

// seconds formats a time as the API accepts it.
func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1e3, 'f', 3, 64)
}
