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

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/goleak"

	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNow is the time of the tests, in the middle of a millisecond.
var testNow = doortest.Now

// base is a timestamp with room for samples before and after it.
var base = doortest.Base

// server is a database with doors.
type server struct {
	t     testing.TB
	db    *storage.DB
	in    *Ingest
	mux   *http.ServeMux
	clock *vfs.ManualClock

	budget *reqbody.Budget
	rpc    tsdbv1.WriteClient // nil until rpcClient
}

// rpcClient returns a client of the gRPC doors, which are registered once.
func (d *server) rpcClient() tsdbv1.WriteClient {
	if d.rpc == nil {
		d.rpc, _ = serveRPC(d.t, d.in)
	}
	return d.rpc
}

func openDoor(t testing.TB, edit ...func(*Options, *storage.Options)) *server {
	t.Helper()
	clock := vfs.NewManualClock(testNow)
	so := storage.Options{RetentionMs: 30 * model.DayMs, Clock: clock, WALSegmentBytes: 1 << 20, ReserveBytes: 4096}
	o := Options{InfluxDBLabel: "db", Seed: 42, Clock: clock, Version: "0.1"}
	for _, f := range edit {
		f(&o, &so)
	}
	db, err := storage.Open(context.Background(), doctortest.NewMem(t), "data", so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	o.DB = func() (*storage.DB, error) { return db, nil }
	if o.Budget == nil {
		o.Budget = reqbody.NewBudget(reqbody.Options{Limit: reqbody.DefaultLimit, MinRate: reqbody.DefaultMinRate, Clock: o.Clock})
	}
	d := &server{t: t, db: db, in: New(o), mux: http.NewServeMux(), clock: clock, budget: o.Budget}
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
func (d *server) do(method, target string, body []byte, headers ...string) answer {
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

// stored returns the contents of the database by series, formatted as labels.
func (d *server) stored() map[string]*model.Samples {
	d.t.Helper()
	v, err := d.db.View()
	if err != nil {
		d.t.Fatal(err)
	}
	defer v.Release()
	set, err := v.Select(context.Background(), model.DefaultTenant, model.AllTime, anyName())
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
func (d *server) storedSeries() []string {
	var names []string
	for n := range d.stored() {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// storedFloats returns the stored samples as series → time → value.
func (d *server) storedFloats() map[string]map[int64]float64 {
	m := make(map[string]map[int64]float64)
	for n, s := range d.stored() {
		m[n] = make(map[int64]float64)
		for i, t := range s.T {
			m[n][t] = s.V[i]
		}
	}
	return m
}

// memoryDoor returns doors in front of a store in memory.
func memoryDoor(t testing.TB, m *doortest.Memory) *http.ServeMux {
	t.Helper()
	in := newIngest(memoryOptions(), doortest.Backend{Store: m})
	mux := http.NewServeMux()
	in.Register(mux)
	return mux
}

func memoryOptions() Options {
	return Options{DB: func() (*storage.DB, error) { return nil, storage.ErrBusy }, InfluxDBLabel: "db", Seed: 42, Clock: vfs.NewManualClock(testNow)}
}
