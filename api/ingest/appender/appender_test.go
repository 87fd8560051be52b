package appender

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/value"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

var base = doortest.Base

// world is an Appendable on a store in memory.
type world struct {
	*Appendable
	store  *doortest.Memory
	clock  *vfs.ManualClock
	budget *reqbody.Budget
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{store: doortest.NewMemory(), clock: vfs.NewManualClock(doortest.Now)}
	w.budget = reqbody.NewBudget(reqbody.Options{Limit: 1 << 20, Clock: w.clock})
	w.Appendable = New(door.NewShared(door.Options{Backend: doortest.Backend{Store: w.store}, Clock: w.clock, Budget: w.budget, Seed: 1}))
	t.Cleanup(w.Stop)
	return w
}

func series(name string, pairs ...string) labels.Labels {
	return labels.FromStrings(append([]string{"__name__", name}, pairs...)...)
}

// add appends a float and returns the error.
func add(a promstorage.AppenderV2, name string, t int64, v float64) error {
	_, err := a.Append(0, series(name), 0, t, v, nil, nil, promstorage.AOptions{})
	return err
}

func TestScrapeIsOneBatch(t *testing.T) {
	w := newWorld(t)
	h := tsdbutil.GenerateTestHistogram(1)
	fh := tsdbutil.GenerateTestFloatHistogram(2)
	for round := range 2 { // with new series, then with known ones
		a := w.AppenderV2(t.Context())
		counter := promstorage.AOptions{
			MetricFamilyName: "a", Metadata: metadata.Metadata{Type: prommodel.MetricTypeCounter, Help: "h"},
			Exemplars: []exemplar.Exemplar{{Labels: labels.FromStrings("trace", "1"), Value: 3, Ts: base}},
		}
		up := promstorage.AOptions{MetricFamilyName: "up\xff", Metadata: metadata.Metadata{Type: prommodel.MetricTypeGauge}}
		ref, err := a.Append(0, series("a_total", "job", "x"), base-5, base, 1, nil, nil, counter)
		_, err2 := a.Append(0, series("h"), 0, base, 0, h, nil, promstorage.AOptions{})
		_, err3 := a.Append(0, series("fh"), 0, base, 0, nil, fh, promstorage.AOptions{})
		again, err4 := a.Append(ref, series("gone"), 0, base, math.Float64frombits(value.StaleNaN), nil, nil, promstorage.AOptions{})
		_, err5 := a.Append(0, series("up"), 0, base, 1, nil, nil, up)
		if err := errors.Join(err, err2, err3, err4, err5); err != nil || ref == 0 || ref == again {
			t.Fatalf("refs %d and %d, %v", ref, again, err)
		}
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
		want := []doortest.Sample{
			{Series: `{__name__="a_total", job="x"}`, T: base, ST: base - 5, V: 1},
			{Series: `{__name__="gone"}`, T: base, V: math.Float64frombits(value.StaleNaN)},
			{Series: `{__name__="up"}`, T: base, V: 1},
		}
		m := w.store
		if !doortest.EqualSamples(m.Samples, want) || m.Commits != round+1 {
			t.Errorf("%d commits, %+v", m.Commits, m.Samples)
		}
		if len(m.Histograms) != 2 || !m.Histograms[0].H.Int.Equals(h) || !m.Histograms[1].H.Float.Equals(fh) || m.Histograms[0].H.Int == h {
			t.Errorf("%+v", m.Histograms)
		}
		if len(m.Exemplars) != 1 || m.Exemplars[0].E.V != 3 || m.Exemplars[0].Series != want[0].Series {
			t.Errorf("%+v", m.Exemplars)
		}
		if len(m.MetadataOf) != 2 || m.MetadataOf["a"].Type != "counter" || m.MetadataOf["a"].Help != "h" || m.MetadataOf["up"].Type != "gauge" {
			t.Errorf("%+v", m.MetadataOf)
		}
	}
	if w.store.Resolves != 5 {
		t.Errorf("labels of %d series were resolved, want 5", w.store.Resolves)
	}
	if n := w.budget.Used(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

// The first of two values of a series at one time stays, as in Prometheus.
func TestSecondValueIsADuplicate(t *testing.T) {
	w := newWorld(t)
	a := w.AppenderV2(t.Context())
	for i, c := range []struct {
		t    int64
		v    float64
		want error
	}{
		{base, 1, nil},
		{base, 2, promstorage.ErrDuplicateSampleForTimestamp},
		{base, 1, nil}, // the same once more
		{base + 1, 2, nil},
		{base, math.NaN(), promstorage.ErrDuplicateSampleForTimestamp},
	} {
		if err := add(a, "a", c.t, c.v); !errors.Is(err, c.want) {
			t.Errorf("sample %d: %v, want %v", i, err, c.want)
		}
	}
	if _, err := a.Append(0, series("a"), 0, base, 0, tsdbutil.GenerateTestHistogram(1), nil, promstorage.AOptions{}); !errors.Is(err, promstorage.ErrDuplicateSampleForTimestamp) {
		t.Errorf("a histogram: %v", err)
	}
	for i := range 1000 { // the index grows
		if err := add(a, "b"+strings.Repeat("x", i), base, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(a, "bx", base, 2); !errors.Is(err, promstorage.ErrDuplicateSampleForTimestamp) {
		t.Errorf("among many: %v", err)
	}
	if err := a.Commit(); err != nil || len(w.store.Samples) != 1002 || w.store.Samples[0].V != 1 {
		t.Errorf("%d samples, %v", len(w.store.Samples), err)
	}
}

func TestRefusedSamplesAreCountedAndTheOthersStored(t *testing.T) {
	w := newWorld(t)
	a := w.AppenderV2(t.Context())
	bad := tsdbutil.GenerateTestHistogram(1)
	bad.Count = 1
	if _, err := a.Append(0, series("h"), 0, base, 0, bad, nil, promstorage.AOptions{}); err != nil {
		t.Fatal(err)
	}
	long := promstorage.AOptions{Exemplars: []exemplar.Exemplar{{Labels: labels.FromStrings("a", strings.Repeat("x", 200)), Ts: base}}}
	if _, err := a.Append(0, series("a", "l", strings.Repeat("x", 20<<10)), 0, base, 0, nil, nil, promstorage.AOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Append(0, series("up"), 0, base, 1, nil, nil, long); err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, r := range w.shared.Rejected.List() {
		if r.Door == DoorName {
			got[r.Reason] = int(r.Samples)
		}
	}
	if len(w.store.Samples) != 1 || len(got) != 3 || got["bad_histogram"] != 1 || got["limit"] != 1 || got["bad_exemplar"] != 1 {
		t.Errorf("%v; stored %+v", got, w.store.Samples)
	}
}

// A histogram that was handed to a batch is not used again when a series has left the
// head meanwhile: batches own what they are given.
func TestStaleRefsAreResolvedAgain(t *testing.T) {
	w := newWorld(t)
	failures := 2
	w.store.OnCommit = func() error {
		if failures--; failures >= 0 {
			w.store.Histograms[0].H.Int.PositiveBuckets[0] = 1 << 40
			return storage.ErrStaleRef
		}
		return nil
	}
	h := tsdbutil.GenerateTestHistogram(1)
	want := h.Copy()
	a := w.AppenderV2(t.Context())
	if _, err := a.Append(0, series("h"), 0, base, 0, h, nil, promstorage.AOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(); err != nil || w.store.Commits != 3 || !w.store.Histograms[0].H.Int.Equals(want) {
		t.Errorf("%v after %d commits: %v", err, w.store.Commits, w.store.Histograms)
	}
}

func TestBusyDatabaseIsAskedAgain(t *testing.T) {
	w := newWorld(t)
	failures := 2
	w.store.OnCommit = func() error {
		if failures--; failures >= 0 {
			return storage.ErrBusy
		}
		return nil
	}
	a := w.AppenderV2(t.Context())
	if err := add(a, "a", base, 1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- a.Commit() }()
	for range 2 {
		w.clock.BlockUntil(1)
		w.clock.Advance(busyPause)
	}
	if err := <-done; err != nil || w.store.Commits != 3 {
		t.Errorf("%v after %d commits", err, w.store.Commits)
	}
	if len(w.shared.Rejected.List()) != 0 {
		t.Error("a scrape that is stored in the end is listed as refused")
	}
}

// A database that stays busy is asked for a bounded time; one that is slow has as long as
// it needs, because a scrape of a million series takes long on a busy machine.
func TestCommitWaitsForABusyDatabaseOnly(t *testing.T) {
	w := newWorld(t)
	fail := storage.ErrBusy
	w.store.OnCommit = func() error {
		w.clock.Advance(2 * busyLimit)
		return fail
	}
	for _, want := range []error{storage.ErrBusy, nil} {
		fail = want
		a := w.AppenderV2(t.Context())
		if err := add(a, "a", base, 1); err != nil {
			t.Fatal(err)
		}
		if err := a.Commit(); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if w.store.Commits != 2 {
		t.Errorf("%d commits, want 2", w.store.Commits)
	}
}

// A commit ends with the scrape's context, and with Stop; what fails is listed.
func TestCommitEnds(t *testing.T) {
	w := newWorld(t)
	w.store.OnCommit = func() error { return storage.ErrBusy }
	commit := func(ctx context.Context) chan error {
		a := w.AppenderV2(ctx)
		if err := add(a, "a", base, 1); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- a.Commit() }()
		return done
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := commit(ctx)
	w.clock.BlockUntil(1)
	cancel()
	if err := <-done; !errors.Is(err, storage.ErrBusy) {
		t.Error(err)
	}
	if list := w.shared.Rejected.List(); len(list) != 1 || list[0].Reason != "unavailable" || list[0].Door != DoorName {
		t.Errorf("%+v", list)
	}
	done = commit(t.Context())
	w.clock.BlockUntil(2)
	w.Stop()
	if err := <-done; !errors.Is(err, storage.ErrClosed) {
		t.Error(err)
	}
	if err := <-commit(t.Context()); !errors.Is(err, storage.ErrClosed) {
		t.Error(err)
	}
	if n := w.budget.Used(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

// A panic fails the scrape, not the process.
func TestPanicFailsTheScrape(t *testing.T) {
	w := newWorld(t)
	w.store.OnCommit = func() error { panic("x") }
	a := w.AppenderV2(t.Context())
	if err := add(a, "a", base, 1); err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(); err == nil || !strings.Contains(err.Error(), "panic: x") {
		t.Error(err)
	}
}

func TestScrapesShareTheBudgetOfWrites(t *testing.T) {
	w := newWorld(t)
	other := w.budget.NewCharge()
	if err := other.Take(t.Context(), w.budget.Limit()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a := w.AppenderV2(ctx)
	cancel() // rather than after a second
	if err := add(a, "a", base, 1); err == nil {
		t.Error("a sample was taken although there is no memory")
	}
	if err := a.Rollback(); err != nil {
		t.Error(err)
	}
	other.Release()
	a = w.AppenderV2(t.Context())
	if err := add(a, "a", base, 1); err != nil {
		t.Error(err)
	}
	if w.budget.Used() != chargeStep {
		t.Errorf("%d bytes are charged", w.budget.Used())
	}
	if err := errors.Join(a.Rollback(), a.Rollback()); err != nil || w.budget.Used() != 0 {
		t.Errorf("%d bytes are charged after the rollback, %v", w.budget.Used(), err)
	}
	if err := w.AppenderV2(t.Context()).Commit(); err != nil || w.store.Commits != 0 {
		t.Errorf("an empty scrape: %d commits, %v", w.store.Commits, err)
	}
}

// Any labels and values that the parser gives are stored or refused, and the same again.
func FuzzAppend(f *testing.F) {
	f.Add("a", "l", "v", int64(1), 1.0, uint8(0))
	f.Add("", "", "\xff", int64(math.MinInt64), math.NaN(), uint8(3))
	f.Fuzz(func(t *testing.T, name, label, text string, at int64, v float64, kind uint8) {
		w := newWorld(t)
		ls := labels.FromStrings("__name__", name, label, text)
		var h *histogram.Histogram
		var fh *histogram.FloatHistogram
		switch kind % 3 {
		case 1:
			h = tsdbutil.GenerateTestHistogram(int64(kind))
			h.Schema, h.Sum, h.ZeroCount = int32(int8(kind)), v, uint64(at)
		case 2:
			fh = tsdbutil.GenerateTestFloatHistogram(int64(kind))
			fh.Schema, fh.Count = int32(int8(kind)), v
		}
		o := promstorage.AOptions{MetricFamilyName: name, Metadata: metadata.Metadata{Type: prommodel.MetricType(text), Unit: label, Help: text}}
		if kind > 128 {
			o.Exemplars = []exemplar.Exemplar{{Labels: ls, Value: v, Ts: at}}
		}
		_ = doortest.Twice(t, w.store, func() (storage.Receipt, error) {
			a := w.AppenderV2(t.Context())
			if _, err := a.Append(0, ls, at, at, v, h, fh, o); err != nil {
				return storage.Receipt{}, err
			}
			return storage.Receipt{}, a.Commit()
		})
	})
}
