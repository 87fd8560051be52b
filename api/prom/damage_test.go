package prom

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/storage"
)

// damagedWorld serves a database whose only block can be damaged.
type damagedWorld struct {
	*server
	t     *testing.T
	fs    *vfs.Mem
	clock *vfs.ManualClock
	block string // its file
	log   *bytes.Buffer
}

func newDamagedWorld(t *testing.T, samples int64) *damagedWorld {
	t.Helper()
	w := &damagedWorld{t: t, fs: vfs.NewMem(), clock: vfs.NewManualClock(time.Unix(1_767_000_000, 0)), log: &bytes.Buffer{}}
	w.server = &server{db: w.open()}
	b := w.db.NewBatch("test", model.DefaultTenant)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i, name := range []string{"a", "b"} {
		ref, err := b.Resolve(model.Hash{Hi: 3, Lo: uint64(i)}, labels.FromStrings("__name__", name, "job", "x"))
		if err != nil {
			t.Fatal(err)
		}
		for k := range samples {
			b.Float(ref, w.clock.Now().UnixMilli()-k*20, 0, rnd.NormFloat64())
		}
		b.Exemplar(ref, model.Exemplar{T: w.clock.Now().UnixMilli(), V: 1, Labels: labels.FromStrings("trace", "1")})
		b.Metadata(name, model.Metadata{Type: "gauge"})
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	names, err := w.fs.List("data/l0")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	w.block = path.Join("data/l0", names[0])
	mux := http.NewServeMux()
	New(Options{DB: func() (*storage.DB, error) { return w.db, nil }, Engine: query.New(query.Options{}), Clock: w.clock, Logger: slog.New(slog.NewTextHandler(w.log, nil))}).Register(mux)
	w.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		w.Server.Close()
		if err := w.db.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *damagedWorld) open() *storage.DB {
	w.t.Helper()
	db, err := storage.Open(ctx, w.fs, "data", storage.Options{Clock: w.clock, Seed: 1, AliasSeed: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	return db
}

// destroy overwrites the block from an offset on, up to n bytes.
func (w *damagedWorld) destroy(from, n int64) {
	w.t.Helper()
	info, err := w.fs.Stat(w.block)
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := w.fs.OpenReadWrite(w.block)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, int(min(n, info.Size-from))), from); err != nil {
		w.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// reopen closes the database and opens it again.
func (w *damagedWorld) reopen() {
	w.t.Helper()
	if err := w.db.Close(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.db = w.open()
}

// read requests all series by remote read, with the given response type.
func (w *damagedWorld) read(params string, kinds ...prompb.ReadRequest_ResponseType) reply {
	w.t.Helper()
	req := &prompb.ReadRequest{AcceptedResponseTypes: kinds, Queries: []*prompb.Query{{
		StartTimestampMs: w.clock.Now().UnixMilli() - 3_600_000, EndTimestampMs: w.clock.Now().UnixMilli(),
		Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_EQ, Name: "job", Value: "x"}},
	}}}
	b, err := req.Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.Client().Post(w.URL+"/api/v1/read"+params, "application/x-protobuf", bytes.NewReader(s2.EncodeSnappy(nil, b)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{resp.StatusCode, resp.Header, brokenOff}
	}
	for name, values := range resp.Trailer {
		resp.Header[name] = append(resp.Header[name], values...)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// brokenOff is the body of a reply whose connection ended early.
const brokenOff = "(broken off)"

// TestDamageAfterTheFirstMegabyteAbortsAStream: a stream that has been sent in
// part when damage is found is aborted, or names the damage in a trailer.
func TestDamageAfterTheFirstMegabyteAbortsAStream(t *testing.T) {
	w := newDamagedWorld(t, 150_000)
	info, err := w.fs.Stat(w.block)
	if err != nil {
		t.Fatal(err)
	}
	stream := prompb.ReadRequest_STREAMED_XOR_CHUNKS
	if r := w.read("", stream); r.status != http.StatusOK || len(r.body) < 2<<20 || len(r.header.Values(warningHeader)) > 0 {
		t.Fatalf("%d, %d bytes", r.status, len(r.body))
	}
	w.db.DropCaches()
	w.destroy(info.Size*8/10, 4) // among the values of the second series
	if r := w.read("", stream); r.status != http.StatusOK || r.body != brokenOff {
		t.Errorf("%d, %d bytes", r.status, len(r.body))
	}
	if r := w.read("?partial_response=true", stream); r.status != http.StatusOK || len(r.body) < 2<<20 || !strings.Contains(strings.Join(r.header.Values(warningHeader), ";"), path.Base(w.block)) {
		t.Errorf("%d, %d bytes, %q", r.status, len(r.body), r.header.Values(warningHeader))
	}
	if r := w.read(""); r.status != http.StatusInternalServerError {
		t.Errorf("one message: %d", r.status)
	}
}

// TestDamageIsAnErrorWhereThereAreNoWarnings: damage makes remote read and
// federation fail, with a text that names the block, or, if the request asks for
// it, gives the readable part with a warning.
func TestDamageIsAnErrorWhereThereAreNoWarnings(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(*damagedWorld)
	}{
		{"a chunk", func(w *damagedWorld) { w.destroy(100, 4) }},
		{"all that is behind the tail", func(w *damagedWorld) { w.destroy(0, 1<<40) }},
		{"a block that cannot be opened", func(w *damagedWorld) { w.destroy(0, 1<<40); w.reopen() }},
		{"a block that is missing", func(w *damagedWorld) {
			if err := w.db.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if err := w.fs.Remove(w.block); err != nil {
				t.Fatal(err)
			}
			w.db = w.open()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newDamagedWorld(t, 2000)
			federate := func(params ...string) reply {
				t.Helper()
				v := url.Values{"match[]": {`{job="x"}`}}
				for i := 0; i < len(params); i += 2 {
					v.Set(params[i], params[i+1])
				}
				r, err := http.NewRequest(http.MethodGet, w.URL+"/federate?"+v.Encode(), nil)
				if err != nil {
					t.Fatal(err)
				}
				return w.do(t, r)
			}
			ask := map[string]func(partial string) reply{
				"samples": func(p string) reply { return w.read(p) },
				"chunks":  func(p string) reply { return w.read(p, prompb.ReadRequest_STREAMED_XOR_CHUNKS) },
				"federation": func(p string) reply {
					if p == "" {
						return federate()
					}
					return federate("partial_response", strings.TrimPrefix(p, "?partial_response="))
				},
			}
			for name, get := range ask {
				if r := get(""); r.status != http.StatusOK || len(r.header.Values(warningHeader)) > 0 {
					t.Fatalf("%s before the damage: %d %q", name, r.status, clip(r.body))
				}
			}
			w.db.DropCaches()
			c.damage(w)
			for name, get := range ask {
				if r := get(""); r.status != http.StatusInternalServerError || !strings.Contains(r.body, path.Base(w.block)) || !strings.Contains(r.body, partialParam) {
					t.Errorf("%s: %d %q", name, r.status, clip(r.body))
				}
				if r := get("?partial_response=false"); r.status != http.StatusInternalServerError {
					t.Errorf("%s, not partial: %d %q", name, r.status, clip(r.body))
				}
				if r := get("?partial_response=true"); r.status != http.StatusOK || !strings.Contains(strings.Join(r.header.Values(warningHeader), ";"), path.Base(w.block)) {
					t.Errorf("%s, partial: %d, %q", name, r.status, r.header.Values(warningHeader))
				}
				if r := get("?partial_response=perhaps"); r.status != http.StatusBadRequest {
					t.Errorf("%s: %d %q", name, r.status, clip(r.body))
				}
			}
			// Requests that do not read the block are not affected.
			w.clock.Advance(24 * time.Hour)
			for _, name := range []string{"samples", "federation"} {
				if r := ask[name](""); r.status != http.StatusOK {
					t.Errorf("%s of another day: %d %q", name, r.status, clip(r.body))
				}
			}
		})
	}
}

// TestDamageIsAWarningInJSON: answers in JSON carry warnings.
func TestDamageIsAWarningInJSON(t *testing.T) {
	for _, quarantined := range []bool{false, true} {
		t.Run(strconv.FormatBool(quarantined), func(t *testing.T) {
			w := newDamagedWorld(t, 2000)
			w.destroy(0, 1<<40)
			if quarantined {
				w.reopen()
			}
			now := strconv.FormatInt(w.clock.Now().Unix(), 10)
			for _, c := range [][]string{
				{"/series", "match[]", `{job="x"}`, "end", now}, {"/labels", "end", now}, {"/label/job/values", "end", now},
				{"/query_exemplars", "query", `{job="x"}`, "end", now}, {"/metadata"}, {"/query", "query", `{job="x"}`, "time", now},
			} {
				r := w.get(t, c[0], c[1:]...)
				var ans struct {
					Status   string
					Warnings []string
				}
				if err := json.Unmarshal([]byte(r.body), &ans); err != nil || r.status != http.StatusOK || len(ans.Warnings) == 0 || !strings.Contains(ans.Warnings[0], path.Base(w.block)) {
					t.Errorf("%s: %d %s", c[0], r.status, clip(r.body))
				}
			}
		})
	}
}
