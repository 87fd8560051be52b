package promread

import (
	"bytes"
	"context"
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
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/teststorage"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start is 20:00 of a day, so that a few hours span two.
var start = time.Date(2026, 3, 8, 20, 0, 0, 0, time.UTC).UnixMilli()

const (
	series = 5
	rows   = 500 // a minute each
)

// prometheus serves reads of samples by Prometheus' own handler. want are its samples.
func prometheus(t *testing.T, handle func(next http.Handler) http.Handler) (address string, want map[string]string) {
	t.Helper()
	db := teststorage.New(t)
	app := db.Appender(context.Background())
	want = map[string]string{}
	put := func(ls labels.Labels, ts int64, v float64, h model.Histogram) {
		var err error
		if h.IsZero() {
			_, err = app.Append(0, ls, ts, v)
		} else {
			_, err = app.AppendHistogram(0, ls, ts, h.Int, h.Float)
		}
		must(t, err)
		want[fmt.Sprint(ls, ts)] = render(v, h)
	}
	special := []float64{math.Float64frombits(value.StaleNaN), math.Copysign(0, -1), math.Inf(-1), 5e-324, math.Float64frombits(0x7ff8000000000123)}
	for i := range int64(rows) {
		ts := start + i*model.MinuteMs
		for k := range series {
			v := float64(i) / float64(k+3)
			if i%100 == 99 {
				v = special[k]
			}
			put(labels.FromStrings("__name__", "m", "k", fmt.Sprint(k)), ts, v, model.Histogram{})
		}
		if i%10 == 0 {
			put(labels.FromStrings("__name__", "h", "kind", "int"), ts, 0, model.Histogram{Int: tsdbutil.GenerateTestHistogram(i)})
			put(labels.FromStrings("__name__", "h", "kind", "float"), ts, 0, model.Histogram{Float: tsdbutil.GenerateTestFloatHistogram(i)})
		}
	}
	must(t, app.Commit())
	var h http.Handler = remote.NewReadHandler(slog.New(slog.DiscardHandler), nil, db, func() config.Config { return config.Config{} }, 1e6, 10, 1<<10)
	if handle != nil {
		h = handle(h)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/read", h)
	mux.HandleFunc("/api/v1/metadata", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"success","data":{"m":[{"type":"gauge","help":"of a test","unit":"seconds"}]}}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, want
}

func render(v float64, h model.Histogram) string {
	switch {
	case h.Int != nil:
		c := h.Int.Copy()
		c.CounterResetHint = histogram.UnknownCounterReset
		return fmt.Sprintf("%+v", *c)
	case h.Float != nil:
		c := h.Float.Copy()
		c.CounterResetHint = histogram.UnknownCounterReset
		return fmt.Sprintf("%+v", *c)
	}
	return fmt.Sprintf("%016x", math.Float64bits(v))
}

func open(t *testing.T, address string, match ...string) *Source {
	t.Helper()
	o := Options{URL: address, Client: &http.Client{}, Start: start, End: start + rows*model.MinuteMs}
	if len(match) == 0 {
		match = []string{""}
	}
	for _, m := range match {
		kind := labels.MatchNotEqual
		if m != "" {
			kind = labels.MatchEqual
		}
		o.Selectors = append(o.Selectors, []*labels.Matcher{labels.MustNewMatcher(kind, "__name__", m)})
	}
	o.Pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	s, err := Open(o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// collect adds what items hold to got.
func collect(t *testing.T, got map[string]string, item *transfer.Item) {
	if item.Samples == nil {
		got["metadata "+item.Metric] = fmt.Sprint(item.Metadata)
		return
	}
	for i, ts := range item.Samples.T {
		key := fmt.Sprint(item.Labels, ts)
		if _, twice := got[key]; twice {
			t.Errorf("%s twice", key)
		}
		got[key] = render(item.Samples.V[i], item.Samples.HistogramAt(i))
	}
}

func readAll(t *testing.T, s *Source) map[string]string {
	t.Helper()
	plan, err := s.Plan(t.Context())
	must(t, err)
	got := map[string]string{}
	for _, u := range plan.Units {
		must(t, s.Read(t.Context(), u, 0, func(_ int64, item *transfer.Item) error { collect(t, got, item); return nil }))
	}
	return got
}

// onlySamples makes a server answer with samples, as if it knew no chunks.
func onlySamples(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		raw, _ := s2.Decode(nil, body)
		var req prompb.ReadRequest
		if err := req.Unmarshal(raw); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		req.AcceptedResponseTypes = nil
		raw, _ = req.Marshal()
		r.Body = io.NopCloser(bytes.NewReader(s2.EncodeSnappy(nil, raw)))
		next.ServeHTTP(w, r)
	})
}

// Every sample of Prometheus' own handler is read once, bit for bit, as chunks and as
// samples, in windows that are days.
func TestSourceReadsWhatPrometheusServes(t *testing.T) {
	for name, handle := range map[string]func(http.Handler) http.Handler{"chunks": nil, "samples": onlySamples} {
		t.Run(name, func(t *testing.T) {
			address, want := prometheus(t, handle)
			want["metadata m"] = fmt.Sprint(model.Metadata{Type: "gauge", Unit: "seconds", Help: "of a test"})
			s := open(t, address)
			plan, err := s.Plan(t.Context())
			must(t, err)
			if len(plan.Units) != 3 || plan.Units[2].Min != transfer.DayOf(start).Max {
				t.Errorf("units %+v", plan.Units)
			}
			if name == "samples" { // the generated code of the answer has no minus zero
				for key, v := range want {
					if v == "8000000000000000" {
						want[key] = "0000000000000000"
					}
				}
			}
			if got := readAll(t, s); !reflect.DeepEqual(got, want) {
				for key := range want {
					if got[key] != want[key] {
						t.Fatalf("%d values, want %d; %s is %q, want %q", len(got), len(want), key, got[key], want[key])
					}
				}
				t.Errorf("%d values, want %d", len(got), len(want))
			}
			if got := readAll(t, open(t, address, "h", "nonesuch")); len(got) != 2*rows/10+1 {
				t.Errorf("%d values of one metric", len(got))
			}
		})
	}
}

// A connection that breaks, and a server that is busy, cost a repetition: no series is
// passed on twice and none is missing. Bytes that are no frame are such a failure too,
// because Prometheus appends the text of an error to a stream.
func TestSourceGoesOnAfterFailures(t *testing.T) {
	requests := 0
	breaking := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			if requests%3 == 0 {
				w.Header().Set("Retry-After", "2")
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			part := rec.Body.Len() * (requests % 4) / 3
			_, _ = w.Write(rec.Body.Bytes()[:min(part, rec.Body.Len())])
			if requests%2 == 0 {
				panic(http.ErrAbortHandler)
			}
			if part < rec.Body.Len() {
				fmt.Fprint(w, "an error of the server")
			}
		})
	}
	address, want := prometheus(t, breaking)
	got := readAll(t, open(t, address))
	delete(got, "metadata m")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d values in %d requests, want %d", len(got), requests, len(want))
	}
	if requests < 4 {
		t.Errorf("%d requests", requests)
	}

	failing := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "never", http.StatusBadGateway) })
	}
	address, _ = prometheus(t, failing)
	s := open(t, address)
	plan, err := s.Plan(t.Context())
	must(t, err)
	err = s.Read(t.Context(), plan.Units[1], 0, func(int64, *transfer.Item) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "6 attempts") || !strings.Contains(err.Error(), "never") {
		t.Errorf("a server that always fails: %v", err)
	}
}

// From every position the rest is read. A position whose series has gone is read from the
// start, because what was before it is not known.
func TestSourceGoesOnFromAPosition(t *testing.T) {
	address, _ := prometheus(t, nil)
	s := open(t, address)
	plan, err := s.Plan(t.Context())
	must(t, err)
	u := plan.Units[1]
	var positions []int64
	must(t, s.Read(t.Context(), u, 0, func(pos int64, _ *transfer.Item) error { positions = append(positions, pos); return nil }))
	if len(positions) != series+2 {
		t.Fatalf("%d series", len(positions))
	}
	for i, pos := range append(positions, 12345) {
		var rest []int64
		must(t, s.Read(t.Context(), u, pos, func(pos int64, _ *transfer.Item) error { rest = append(rest, pos); return nil }))
		want := positions
		if i < len(positions) {
			want = positions[i+1:]
		}
		if len(rest)+len(want) > 0 && !reflect.DeepEqual(rest, want) {
			t.Errorf("behind series %d: %v, want %v", i, rest, want)
		}
	}
	stop := errors.New("the target fails")
	if err := s.Read(t.Context(), u, 0, func(int64, *transfer.Item) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the target became %v", err)
	}
}

func TestSourceRefusesWhatItCannotRead(t *testing.T) {
	for want, handle := range map[string]http.HandlerFunc{
		"which is none of remote read": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"401 Unauthorized: who":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who", http.StatusUnauthorized) },
		"--window": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "exceeded sample limit (5)", http.StatusBadRequest)
		},
		"more than 512 MiB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
		},
	} {
		address, _ := prometheus(t, func(http.Handler) http.Handler { return handle })
		s := open(t, address)
		plan, err := s.Plan(t.Context())
		must(t, err)
		if err := s.Read(t.Context(), plan.Units[1], 0, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	one := [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "a", "b")}}
	for want, o := range map[string]Options{
		"no address":         {URL: "prometheus:9090", Selectors: one},
		"no selector":        {URL: "http://p"},
		"is after the end":   {URL: "http://p", Selectors: one, Start: 2, End: 1},
		"shorter than a sec": {URL: "http://p", Selectors: one, Window: time.Millisecond},
		"windows of 1s":      {URL: "http://p", Selectors: one, End: 1 << 50, Window: time.Second},
	} {
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
