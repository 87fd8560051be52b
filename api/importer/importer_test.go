package importer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/transfer"
	"tsdb/internal/transfer/stream"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newServer(t *testing.T) (*storage.DB, *Handler, string, *vfs.ManualClock) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := storage.Open(t.Context(), doctortest.NewMem(t), "data", storage.Options{Clock: clock, Seed: 1, RetentionMs: 30 * model.DayMs})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close(context.Background())) })
	h := New(Options{DB: func() (*storage.DB, error) { return db, nil }, RunBytes: 1 << 20})
	mux := http.NewServeMux()
	h.Register(mux)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return db, h, s.URL, clock
}

func samplesOf(t *testing.T, db *storage.DB) (n int) {
	t.Helper()
	v, err := db.View()
	must(t, err)
	defer v.Release()
	set, err := v.Select(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(t, err)
	for i := range set.Len() {
		var s model.Samples
		must(t, set.At(i).Samples(t.Context(), model.AllTime, &s))
		n += s.Len()
	}
	return n
}

func TestImportIntoRunningServer(t *testing.T) {
	db, _, url, clock := newServer(t)
	dst, err := transfer.NewRemote(url, 0, http.DefaultClient)
	must(t, err)
	defer dst.Close()
	b, err := dst.Bounds(t.Context())
	must(t, err)
	if now := clock.Now().UnixMilli(); b.Oldest != now-30*model.DayMs || !strings.Contains(b.Setting, "--retention.raw") {
		t.Errorf("bounds %+v", b)
	}
	total := 0
	for run := range 2 {
		for i := range 300 {
			var s model.Samples
			for k := range 1000 {
				s.Append(clock.Now().UnixMilli()-int64(run+2)*model.DayMs+int64(k)*1000, 0, float64(k*k%977)*1.7, model.Histogram{})
			}
			s.Append(clock.Now().UnixMilli()-40*model.DayMs, 0, 1, model.Histogram{}) // is refused
			must(t, dst.Add(t.Context(), &transfer.Item{Labels: labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)), Samples: &s}))
			total += 1000
		}
		r, err := dst.Publish(t.Context())
		must(t, err)
		if r.Samples != 300_000 || r.Refused() != 300 || r.Blocks == 0 {
			t.Errorf("run %d: %+v", run, r)
		}
	}
	if got := samplesOf(t, db); got != total {
		t.Errorf("%d samples, want %d", got, total)
	}
}

func TestImportRefusesWhatItCannotTake(t *testing.T) {
	db, h, url, clock := newServer(t)
	post := func(body []byte) (int, string) {
		r, err := http.Post(url+"/api/v1/admin/import", "application/octet-stream", bytes.NewReader(body))
		must(t, err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		must(t, err)
		return r.StatusCode, string(text)
	}
	var b bytes.Buffer
	w, err := stream.NewWriter(&b)
	must(t, err)
	var s model.Samples
	s.Append(clock.Now().UnixMilli(), 0, 1, model.Histogram{})
	must(t, w.Samples(labels.FromStrings("__name__", "m"), &s))
	incomplete := bytes.Clone(b.Bytes())
	must(t, w.Close())

	if code, text := post([]byte("hello, world")); code != http.StatusBadRequest || !strings.Contains(text, "bad_data") {
		t.Errorf("not a stream: %d %s", code, text)
	}
	if code, text := post(incomplete); code != http.StatusBadRequest || samplesOf(t, db) != 0 {
		t.Errorf("a stream that breaks off: %d %s, %d samples stored", code, text, samplesOf(t, db))
	}
	h.busy.Lock()
	if code, text := post(b.Bytes()); code != http.StatusServiceUnavailable || !strings.Contains(text, "another import") {
		t.Errorf("beside another import: %d %s", code, text)
	}
	dst, err := transfer.NewRemote(url, 0, http.DefaultClient)
	must(t, err)
	must(t, dst.Add(t.Context(), &transfer.Item{Labels: labels.FromStrings("__name__", "m"), Samples: &s}))
	if _, err := dst.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "another import") {
		t.Errorf("client beside another import: %v", err)
	}
	h.busy.Unlock()
	if code, text := post(b.Bytes()); code != http.StatusOK || samplesOf(t, db) != 1 {
		t.Errorf("%d %s, %d samples stored", code, text, samplesOf(t, db))
	}
}
