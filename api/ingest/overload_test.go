package ingest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/prompb"

	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	"tsdb/encoding"
	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// overloadWriter is a client that sends requests one after the other and repeats each
// until it is stored, as the documentation of its protocol says: after 503 it waits for
// Retry-After.
type overloadWriter struct {
	number   int
	requests int
	samples  int // of a request

	stored map[string]map[int64]float64
	busy   int // answers with 503
}

// request returns the n-th request, in one of the protocols, and what it stores.
func (w *overloadWriter) request(t *testing.T, n int, at int64) (*http.Request, map[string]float64) {
	want := map[string]float64{}
	var series []prompb.TimeSeries
	var lines, text, csv, json []byte
	for i := range w.samples {
		name, v := fmt.Sprintf("m%d", i), float64(n*1000+i)
		host := strconv.Itoa(w.number)
		stored := fmt.Sprintf(`{__name__=%q, host=%q}`, name, host)
		if w.number%5 == 1 {
			stored = fmt.Sprintf(`{__name__="m_f%d", host=%q}`, i, host)
		}
		want[stored] = v
		series = append(series, doortest.Sample1(at, v, "__name__", name, "host", host))
		lines = fmt.Appendf(lines, "m,host=%s f%d=%v %d\n", host, i, v, at*1_000_000)
		text = fmt.Appendf(text, "%s{host=%q} %v %d\n", name, host, v, at)
		json = fmt.Appendf(json, "{\"metric\":{\"__name__\":%q,\"host\":%q},\"values\":[%v],\"timestamps\":[%d]}\n", name, host, v, at)
		csv = fmt.Appendf(csv, "%v,", v)
	}
	format := "100:label:host"
	switch w.number % 5 {
	case 0:
		return newRequest("/api/v1/write", doortest.Snap(doortest.Marshal1(t, doortest.Request1(series...))), "Content-Type", type1), want
	case 1:
		return newRequest("/write", lines), want
	case 2:
		return newRequest(textPath, text), want
	case 3:
		return newRequest("/api/v1/import", json), want
	}
	for i := range w.samples {
		format += fmt.Sprintf(",%d:metric:m%d", i+1, i)
	}
	row := strings.Repeat(",", 99-w.samples) + fmt.Sprint(w.number) + "\n"
	return newRequest(fmt.Sprintf("/api/v1/import/csv?timestamp=%d&format=%s", at, format), append(csv, row...)), want
}

func (w *overloadWriter) run(t *testing.T, mux http.Handler, begin int64) {
	w.stored = map[string]map[int64]float64{}
	for n := range w.requests {
		at := begin + int64(n)*1000
		for {
			r, want := w.request(t, n, at)
			a := httptest.NewRecorder()
			mux.ServeHTTP(a, r)
			if a.Code == http.StatusNoContent {
				for series, v := range want {
					if w.stored[series] == nil {
						w.stored[series] = map[int64]float64{}
					}
					w.stored[series][at] = v
				}
				break
			}
			seconds, err := strconv.Atoi(a.Header().Get("Retry-After"))
			if a.Code != http.StatusServiceUnavailable || err != nil || seconds < 1 {
				t.Errorf("writer %d: %d %s, Retry-After %q", w.number, a.Code, a.Body, a.Header().Get("Retry-After"))
				return
			}
			w.busy++
			time.Sleep(time.Duration(seconds) * time.Second)
		}
	}
}

// TestOverload: fifty writers in all protocols send to a server whose disk takes two
// seconds for a sync and whose budget of memory holds a few of their requests. No request
// takes it over its bound, and in the end nothing that a client has sent is lost, nor
// anything else there. Time is virtual.
func TestOverload(t *testing.T) {
	// Compressors and decompressors that all databases share are made outside of the
	// bubble: what has been made in one must not be used outside of it.
	if _, err := encoding.DecodeZstd(nil, encoding.AppendZstd(nil, []byte("x")), 1); err != nil {
		t.Fatal(err)
	}
	before := openDoor(t)
	before.do("POST", textPath, []byte("m 1"))
	if _, err := before.db.Flush(t.Context()); err != nil || len(before.stored()) != 1 {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		const limit = 400 << 10
		disk := vfs.NewFault(vfs.NewMem())
		doctortest.Opened(t, disk, "data")
		db, err := storage.Open(context.Background(), disk, "data", storage.Options{
			Clock: vfs.SystemClock, WALSegmentBytes: 1 << 20, ReserveBytes: 4096, CacheBytes: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		budget := reqbody.NewBudget(reqbody.Options{Limit: limit, MinRate: reqbody.DefaultMinRate, Clock: vfs.SystemClock})
		var peak atomic.Int64
		disk.SetHook(func(o vfs.Op) error {
			if o.Kind == vfs.OpSync && strings.Contains(o.Name, "wal/") {
				peak.Store(max(peak.Load(), budget.Used()))
				time.Sleep(2 * time.Second)
			}
			return nil
		})
		in := New(Options{DB: func() (*storage.DB, error) { return db, nil }, InfluxDBLabel: "db", Seed: 42, Clock: vfs.SystemClock, Budget: budget})
		mux := http.NewServeMux()
		in.Register(mux)
		writers := make([]*overloadWriter, 50)
		begin := time.Now().UnixMilli() - 100_000
		var all sync.WaitGroup
		for i := range writers {
			writers[i] = &overloadWriter{number: i, requests: 4, samples: 20}
			all.Go(func() { writers[i].run(t, mux, begin) })
		}
		all.Wait()
		disk.SetHook(nil)

		d := &server{t: t, db: db}
		stored, sent, busy := d.storedFloats(), 0, 0
		for _, w := range writers {
			busy += w.busy
			for series, samples := range w.stored {
				sent++
				if len(stored[series]) != len(samples) {
					t.Fatalf("%s: %d samples of %d", series, len(stored[series]), len(samples))
				}
				for at, v := range samples {
					if stored[series][at] != v {
						t.Fatalf("%s: %v at %d, want %v", series, stored[series][at], at, v)
					}
				}
			}
		}
		if sent != len(stored) || sent != 50*20 {
			t.Errorf("%d series are stored, %d were sent", len(stored), sent)
		}
		if busy == 0 {
			t.Error("no writer was told to come back: the test does not overload the server")
		}
		if p := peak.Load(); p > limit || p < limit/2 {
			t.Errorf("up to %d bytes were charged, the limit is %d", p, limit)
		}
		if used := budget.Used(); used != 0 {
			t.Errorf("%d bytes stay charged", used)
		}
		t.Logf("%d answers were 503, at most %d of %d bytes were charged", busy, peak.Load(), limit)
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
