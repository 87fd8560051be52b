package ingest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/goleak"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNow is the time of the tests, in the middle of a millisecond.
var testNow = time.Date(2026, 11, 21, 12, 30, 15, 123_456_789, time.UTC)

// base is a timestamp with room for samples before and after it.
var base = testNow.UnixMilli() - 60_000

// door is a database with doors.
type door struct {
	t     testing.TB
	db    *storage.DB
	in    *Ingest
	mux   *http.ServeMux
	clock *vfs.ManualClock
}

func openDoor(t testing.TB, edit ...func(*Options, *storage.Options)) *door {
	t.Helper()
	clock := vfs.NewManualClock(testNow)
	so := storage.Options{RetentionMs: 30 * model.DayMs, Clock: clock}
	o := Options{InfluxDBLabel: "db", Seed: 42, Clock: clock, Version: "0.1"}
	for _, f := range edit {
		f(&o, &so)
	}
	db, err := storage.Open(context.Background(), vfs.NewMem(), "data", so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	o.DB = func() (*storage.DB, error) { return db, nil }
	d := &door{t: t, db: db, in: New(o), mux: http.NewServeMux(), clock: clock}
	d.in.Register(d.mux)
	return d
}

// answer is a response.
type answer struct {
	code   int
	header http.Header
	body   string
}

// do sends a request; headers come in pairs.
func (d *door) do(method, target string, body []byte, headers ...string) answer {
	d.t.Helper()
	return do(d.t, d.mux, method, target, body, headers...)
}

func do(t testing.TB, h http.Handler, method, target string, body []byte, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return send(t, h, r)
}

func send(t testing.TB, h http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{w.Code, w.Result().Header, strings.TrimSuffix(string(b), "\n")}
}

func snap(b []byte) []byte { return snappy.Encode(nil, b) }

// stored returns the contents of the database by series, formatted as labels.
func (d *door) stored() map[string]*model.Samples {
	d.t.Helper()
	v, err := d.db.View()
	if err != nil {
		d.t.Fatal(err)
	}
	defer v.Release()
	set, err := v.Select(context.Background(), tenant, model.AllTime, anyName())
	if err != nil {
		d.t.Fatal(err)
	}
	m := make(map[string]*model.Samples)
	for i := range set.Len() {
		s := set.At(i)
		var samples model.Samples
		if err := s.Samples(context.Background(), model.AllTime, &samples); err != nil {
			d.t.Fatal(err)
		}
		m[s.Labels.String()] = &samples
	}
	return m
}

func anyName() *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")
}

// storedSeries returns the names of the stored series.
func (d *door) storedSeries() []string {
	var names []string
	for n := range d.stored() {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// storedFloats returns the stored samples as series → time → value.
func (d *door) storedFloats() map[string]map[int64]float64 {
	m := make(map[string]map[int64]float64)
	for n, s := range d.stored() {
		m[n] = make(map[int64]float64)
		for i, t := range s.T {
			m[n][t] = s.V[i]
		}
	}
	return m
}

// memory is a batch that records its calls, for tests of decoders and of rare
// database errors.
type memory struct {
	known   map[model.Hash]model.Ref
	series  map[string]model.Ref
	names   []string // by ref - 1
	samples []memorySample
	hists   []memoryHistogram
	exs     []memoryExemplar
	metas   map[string]model.Metadata
	rejects storage.Rejections
	resolve int // calls

	commit  func() error // nil = works
	commits int
}

type memorySample struct {
	series string
	t, st  int64
	v      float64
}

type memoryHistogram struct {
	series string
	t, st  int64
	h      model.Histogram
}

type memoryExemplar struct {
	series string
	e      model.Exemplar
}

func newMemory() *memory {
	return &memory{known: map[model.Hash]model.Ref{}, series: map[string]model.Ref{}, metas: map[string]model.Metadata{}}
}

func (m *memory) Reset() {
	m.samples, m.hists, m.exs = m.samples[:0], m.hists[:0], m.exs[:0]
	clear(m.metas)
	m.rejects.Reset()
}

func (m *memory) LookupAll(aliases []model.Hash, refs []model.Ref) {
	if len(aliases) != len(refs) {
		panic("BUG: aliases and refs differ in number")
	}
	for i, a := range aliases {
		refs[i] = m.known[a]
	}
}

func (m *memory) Resolve(alias model.Hash, ls labels.Labels) (model.Ref, error) {
	m.resolve++
	name := ls.String()
	ref, ok := m.series[name]
	if !ok {
		m.names = append(m.names, name)
		ref = model.Ref(len(m.names))
		m.series[name] = ref
	}
	m.known[alias] = ref
	return ref, nil
}

func (m *memory) Float(ref model.Ref, t, st int64, v float64) {
	m.samples = append(m.samples, memorySample{m.names[ref-1], t, st, v})
}

func (m *memory) Histogram(ref model.Ref, t, st int64, h model.Histogram) {
	m.hists = append(m.hists, memoryHistogram{m.names[ref-1], t, st, h})
}

func (m *memory) Exemplar(ref model.Ref, e model.Exemplar) {
	m.exs = append(m.exs, memoryExemplar{m.names[ref-1], e})
}

func (m *memory) Metadata(metric string, md model.Metadata) { m.metas[metric] = md }

func (m *memory) Reject(reason storage.Reason, series string, t int64, detail string, n int) {
	m.rejects.Add(reason, series, t, detail, n)
}

func (m *memory) Commit(context.Context) (storage.Receipt, error) {
	m.commits++
	if m.commit != nil {
		if err := m.commit(); err != nil {
			return storage.Receipt{}, err
		}
	}
	return storage.Receipt{Floats: len(m.samples), Histograms: len(m.hists), Exemplars: len(m.exs), Metadata: len(m.metas), Rejected: m.rejects.List()}, nil
}

// memoryDoor returns doors in front of a memory batch.
func memoryDoor(t testing.TB, m *memory) *http.ServeMux {
	t.Helper()
	in := New(Options{DB: func() (*storage.DB, error) { return nil, storage.ErrBusy }, InfluxDBLabel: "db", Seed: 42, Clock: vfs.NewManualClock(testNow)})
	in.ready = func() error { return nil }
	in.newBatch = func(string) (batch, error) { return m, nil }
	mux := http.NewServeMux()
	in.Register(mux)
	return mux
}
