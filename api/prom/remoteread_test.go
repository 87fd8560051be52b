package prom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/zeebo/xxh3"

	"tsdb/api/prom/promtest"
	"tsdb/api/reqbody"
	"tsdb/internal/model"
	"tsdb/storage"
)

const (
	readFrom = (promtest.Start + 1000) * 1000
	readTo   = (promtest.Start + 2000) * 1000
)

// The two kinds of answers.
var (
	asSamples = []prompb.ReadRequest_ResponseType{prompb.ReadRequest_SAMPLES}
	asChunks  = []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES}
)

func wireMatcher(kind prompb.LabelMatcher_Type, name, value string) *prompb.LabelMatcher {
	return &prompb.LabelMatcher{Type: kind, Name: name, Value: value}
}

func readOf(ms ...*prompb.LabelMatcher) *prompb.Query {
	return &prompb.Query{StartTimestampMs: readFrom, EndTimestampMs: readTo, Matchers: ms}
}

// readCases are the requests sent to both servers.
var readCases = []struct {
	name    string
	queries []*prompb.Query
}{
	{"by name", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_EQ, "__name__", "http_requests_total"))}},
	{"floats at the edges", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_EQ, "__name__", "edge"))}},
	{"histograms", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_EQ, "__name__", "latency"))}},
	{"names that are not ASCII", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_RE, "__name__", "http.status"))}},
	{"everything", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_NEQ, "__name__", ""))}},
	{"not equal", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_NEQ, "job", "api"))}},
	{"not matching", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_NRE, "code", "2..|"))}},
	{"missing label", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_EQ, "job", ""), wireMatcher(prompb.LabelMatcher_RE, "kind", "i.*"))}},
	{"nothing", []*prompb.Query{readOf(wireMatcher(prompb.LabelMatcher_EQ, "__name__", "nonesuch"))}},
	{"no matchers", []*prompb.Query{readOf()}},
	{"no queries", nil},
	{"two queries", []*prompb.Query{
		readOf(wireMatcher(prompb.LabelMatcher_EQ, "code", "200")),
		readOf(wireMatcher(prompb.LabelMatcher_EQ, "le", "1")),
	}},
	{"all times", []*prompb.Query{{StartTimestampMs: 0, EndTimestampMs: promtest.End * 1000, Matchers: []*prompb.LabelMatcher{wireMatcher(prompb.LabelMatcher_EQ, "job", "api")}}}},
	{"one moment", []*prompb.Query{{StartTimestampMs: promtest.End * 1000, EndTimestampMs: promtest.End * 1000, Matchers: []*prompb.LabelMatcher{wireMatcher(prompb.LabelMatcher_EQ, "job", "api")}}}},
	{"before all samples", []*prompb.Query{{StartTimestampMs: 0, EndTimestampMs: 1, Matchers: []*prompb.LabelMatcher{wireMatcher(prompb.LabelMatcher_EQ, "job", "api")}}}},
	{"hints", []*prompb.Query{{
		StartTimestampMs: 0, EndTimestampMs: promtest.End * 1000, Matchers: []*prompb.LabelMatcher{wireMatcher(prompb.LabelMatcher_EQ, "job", "api")},
		Hints: &prompb.ReadHints{StartMs: readFrom, EndMs: readTo, StepMs: 1000, Func: "rate", RangeMs: 60000, By: true, Grouping: []string{"job"}},
	}}},
}

// TestRemoteReadEqualsPrometheus: answers of both kinds hold the samples that
// Prometheus' own handler gives over the same ones, in the same order, bit for bit.
func TestRemoteReadEqualsPrometheus(t *testing.T) {
	reference := teststorage.New(t)
	if err := promtest.Load(reference); err != nil {
		t.Fatal(err)
	}
	theirs := httptest.NewServer(remote.NewReadHandler(slog.New(slog.DiscardHandler), nil, reference,
		func() config.Config { return config.Config{} }, 1e6, 10, 1<<20))
	defer theirs.Close()
	ours := newServer(t, Options{})
	for _, settled := range []bool{false, true} {
		if settled {
			if _, err := ours.db.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range readCases {
			for kind, accepted := range map[string][]prompb.ReadRequest_ResponseType{"samples": asSamples, "chunks": asChunks, "no kind": nil} {
				t.Run(fmt.Sprintf("%s/%s/blocks=%v", c.name, kind, settled), func(t *testing.T) {
					req := &prompb.ReadRequest{Queries: c.queries, AcceptedResponseTypes: accepted}
					got, want := remoteRead(t, ours.URL+"/api/v1/read", req), remoteRead(t, theirs.URL, req)
					if got.status != want.status || got.kind != want.kind || got.encoding != want.encoding {
						t.Errorf("got %d %q %q, Prometheus %d %q %q", got.status, got.kind, got.encoding, want.status, want.kind, want.encoding)
					}
					if kind != "chunks" { // the generated code of Prometheus' answer has no minus zero
						for i := range got.series {
							got.series[i] = strings.ReplaceAll(got.series[i], ":8000000000000000", ":0")
						}
					}
					if !reflect.DeepEqual(got.series, want.series) {
						t.Errorf("got        %d %.600v\nPrometheus %d %.600v", len(got.series), got.series, len(want.series), want.series)
					}
				})
			}
		}
	}
}

// readReply is a decoded response: a text for each series, with its samples.
type readReply struct {
	status         int
	kind, encoding string
	body           string // of an error
	series         []string
	frames         int
}

func remoteRead(t testing.TB, url string, req *prompb.ReadRequest) readReply {
	t.Helper()
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return remoteReadRaw(t, url, s2.EncodeSnappy(nil, b))
}

func remoteReadRaw(t testing.TB, url string, body []byte) readReply {
	t.Helper()
	resp, err := http.Post(url, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := readReply{status: resp.StatusCode, kind: resp.Header.Get("Content-Type"), encoding: resp.Header.Get("Content-Encoding")}
	switch {
	case r.status != http.StatusOK:
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		r.body = string(text)
	case strings.HasPrefix(r.kind, "application/x-streamed-protobuf"):
		r.readStream(t, resp.Body)
	default:
		r.readSamples(t, resp.Body)
	}
	return r
}

func (r *readReply) readSamples(t testing.TB, body io.Reader) {
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = s2.Decode(nil, b); err != nil {
		t.Fatal(err)
	}
	var m prompb.ReadResponse
	if err := m.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	for i, result := range m.Results {
		r.series = append(r.series, fmt.Sprintf("query %d", i))
		set := remote.FromQueryResult(false, result)
		for set.Next() {
			r.series = append(r.series, describe(t, i, set.At()))
		}
		if err := set.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *readReply) readStream(t testing.TB, body io.Reader) {
	frames := remote.NewChunkedReader(body, 64<<20, nil)
	for ; ; r.frames++ {
		var m prompb.ChunkedReadResponse
		err := frames.NextProto(&m)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range m.ChunkedSeries {
			b := labels.NewScratchBuilder(0)
			text := fmt.Sprintf("%d %s", m.QueryIndex, s.ToLabels(&b, nil))
			for _, c := range s.Chunks {
				chunk, err := chunkenc.FromData(chunkenc.Encoding(c.Type), c.Data)
				if err != nil {
					t.Fatal(err)
				}
				samples, first, last := describeSamples(t, chunk.Iterator(nil))
				if first != c.MinTimeMs || last != c.MaxTimeMs {
					t.Errorf("chunk of %s says %d to %d, has %d to %d", text, c.MinTimeMs, c.MaxTimeMs, first, last)
				}
				text += samples
			}
			r.series = append(r.series, text)
		}
	}
}

// hashOf returns an alias for a series written by a test.
func hashOf(name string) model.Hash {
	h := xxh3.HashString128(name)
	return model.Hash{Hi: h.Hi, Lo: h.Lo}
}

func describe(t testing.TB, query int, s promstorage.Series) string {
	samples, _, _ := describeSamples(t, s.Iterator(nil))
	return fmt.Sprintf("%d %s", query, s.Labels()) + samples
}

// describeSamples formats samples; equal texts mean equal bits.
func describeSamples(t testing.TB, it chunkenc.Iterator) (_ string, first, last int64) {
	t.Helper()
	var b strings.Builder
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		last = it.AtT()
		if b.Len() == 0 {
			first = last
		}
		switch kind {
		case chunkenc.ValFloat:
			_, v := it.At()
			fmt.Fprintf(&b, " %d:%x", last, math.Float64bits(v))
		case chunkenc.ValHistogram:
			_, h := it.AtHistogram(nil)
			fmt.Fprintf(&b, " %d:%s:%s:%v", last, h, gaugeOrNot(h.CounterResetHint), value.IsStaleNaN(h.Sum))
		case chunkenc.ValFloatHistogram:
			_, h := it.AtFloatHistogram(nil)
			fmt.Fprintf(&b, " %d:float:%s:%s:%v", last, h, gaugeOrNot(h.CounterResetHint), value.IsStaleNaN(h.Sum))
		}
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String(), first, last
}

// gaugeOrNot reduces a hint to gauge or not: whether it is "unknown" or "no reset"
// depends on where chunks are cut, and both are right.
func gaugeOrNot(h histogram.CounterResetHint) string {
	if h == histogram.GaugeType {
		return "gauge"
	}
	return "counter"
}

func TestRemoteReadListsSeriesWithoutSamples(t *testing.T) {
	s := newServer(t, Options{})
	q := readOf(wireMatcher(prompb.LabelMatcher_EQ, "job", "api"))
	q.Hints = &prompb.ReadHints{StartMs: readFrom, EndMs: readTo, Func: "series"}
	for _, kind := range [][]prompb.ReadRequest_ResponseType{asSamples, asChunks} {
		got := remoteRead(t, s.URL+"/api/v1/read", &prompb.ReadRequest{Queries: []*prompb.Query{q}, AcceptedResponseTypes: kind})
		n := 0
		for _, text := range got.series {
			if strings.HasSuffix(text, "}") {
				n++
			}
		}
		if n != 3 {
			t.Errorf("%v", got.series)
		}
	}
}

func TestRemoteReadKeepsMinusZero(t *testing.T) {
	s := newServer(t, Options{})
	for _, kind := range [][]prompb.ReadRequest_ResponseType{asSamples, asChunks} {
		got := remoteRead(t, s.URL+"/api/v1/read", &prompb.ReadRequest{AcceptedResponseTypes: kind, Queries: []*prompb.Query{
			readOf(wireMatcher(prompb.LabelMatcher_EQ, "__name__", "edge")),
		}})
		if !strings.Contains(strings.Join(got.series, ""), ":8000000000000000 ") {
			t.Errorf("%v: %v", kind, got.series)
		}
	}
}

func TestRemoteReadSplitsLongSeriesIntoFrames(t *testing.T) {
	s := newServer(t, Options{})
	b := s.db.NewBatch("test", model.DefaultTenant)
	ls := labels.FromStrings("__name__", "long")
	ref, err := b.Resolve(hashOf("long"), ls)
	if err != nil {
		t.Fatal(err)
	}
	const n = 200_000
	for i := range int64(n) {
		b.Float(ref, promtest.Start*1000+i, 0, 1/float64(i+1))
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	q := &prompb.Query{StartTimestampMs: 0, EndTimestampMs: promtest.End * 1000, Matchers: []*prompb.LabelMatcher{wireMatcher(prompb.LabelMatcher_EQ, "__name__", "long")}}
	got := remoteRead(t, s.URL+"/api/v1/read", &prompb.ReadRequest{Queries: []*prompb.Query{q}, AcceptedResponseTypes: asChunks})
	samples := 0
	for _, text := range got.series {
		samples += strings.Count(text, ":")
	}
	if got.frames < 2 || samples != n {
		t.Errorf("%d frames, %d samples", got.frames, samples)
	}
}

func TestRemoteReadRefusesWhatItCannotAnswer(t *testing.T) {
	s := newServer(t, Options{ReadMaxSamples: 100})
	target := s.URL + "/api/v1/read"
	want := func(name string, got readReply, status int, text string) {
		t.Helper()
		if got.status != status || !strings.Contains(got.body, text) || !strings.HasPrefix(got.kind, "text/plain") {
			t.Errorf("%s: %d %q %q, want %d with %q", name, got.status, got.kind, got.body, status, text)
		}
	}
	name := wireMatcher(prompb.LabelMatcher_EQ, "__name__", "edge")
	want("too many samples", remoteRead(t, target, &prompb.ReadRequest{Queries: []*prompb.Query{
		{EndTimestampMs: promtest.End * 1000, Matchers: []*prompb.LabelMatcher{name}},
	}}), 400, "exceeded sample limit (100)")
	want("no snappy", remoteReadRaw(t, target, []byte("x")), 400, "snappy")
	want("no protobuf", remoteReadRaw(t, target, s2.EncodeSnappy(nil, []byte{0xff})), 400, "")
	want("a length that is not there", remoteReadRaw(t, target, []byte{0xff, 0xff, 0xff, 0xff, 0x7f}), 400, "snappy")
	want("too long once decoded", remoteReadRaw(t, target, s2.EncodeSnappy(nil, make([]byte, maxReadBytes+1))), 400, "exceeds limit")
	want("bad expression", remoteRead(t, target, &prompb.ReadRequest{Queries: []*prompb.Query{
		readOf(wireMatcher(prompb.LabelMatcher_RE, "a", "(")),
	}}), 400, "missing closing )")
	want("unknown matcher", remoteRead(t, target, &prompb.ReadRequest{Queries: []*prompb.Query{
		readOf(wireMatcher(9, "a", "b")),
	}}), 400, "invalid matcher type")
	want("unknown kinds", remoteRead(t, target, &prompb.ReadRequest{AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{7, 8}}), 400,
		"server does not support any of the requested response types")
	if r := s.send(t, http.MethodGet, "/read", nil); r.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", r.status)
	}

	busy := newServer(t, Options{DB: func() (*storage.DB, error) { return nil, storage.ErrBusy }})
	want("starting", remoteRead(t, busy.URL+"/api/v1/read", &prompb.ReadRequest{Queries: []*prompb.Query{readOf(name)}}), 503, "not accepting")
}

// FuzzReadRequest: random requests are refused or decoded, in bounded memory.
func FuzzReadRequest(f *testing.F) {
	b, err := (&prompb.ReadRequest{Queries: readCases[0].queries, AcceptedResponseTypes: asChunks}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s2.EncodeSnappy(nil, b))
	f.Add([]byte("\xff\xff\xff\xff\x0f"))
	budget := reqbody.NewBudget(reqbody.Options{Limit: 100 << 20})
	f.Fuzz(func(t *testing.T, sent []byte) {
		body, err := budget.Read(nil, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(sent)), readLimit)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			body.Release()
			if n := budget.Used(); n != 0 {
				t.Fatalf("%d bytes are still charged", n)
			}
		}()
		req, err := decodeReadRequest(t.Context(), body)
		if err != nil {
			return
		}
		if len(req.Queries) > maxReadQueries {
			t.Fatalf("%d queries", len(req.Queries))
		}
		_, _ = readSets(t.Context(), body.Charge(), req.Queries) // whatever it says, it says it
		_, _ = negotiateRead(req.AcceptedResponseTypes)
	})
}
