package promdir

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Blocks, log, out-of-order samples, deletions, stale markers and histograms of a
// directory are read as its owner would, bit for bit.
func TestSourceReadsWhatPrometheusHolds(t *testing.T) {
	dir := t.TempDir()
	opts := tsdb.DefaultOptions()
	opts.OutOfOrderTimeWindow = 48 * model.HourMs
	opts.RetentionDuration = 1000 * model.DayMs
	opts.EnableExemplarStorage, opts.MaxExemplars = true, 1000
	opts.MinBlockDuration, opts.MaxBlockDuration = 2*model.HourMs, 2*model.HourMs
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), nil, opts, nil)
	must(t, err)
	ctx := context.Background()
	start := time.Date(2026, 3, 8, 20, 0, 0, 0, time.UTC).UnixMilli()
	want := map[string]map[int64]string{}
	put := func(name string, ts int64, v float64, h *histogram.Histogram) {
		app := db.Appender(ctx)
		ls := labels.FromStrings("__name__", name, "job", "x")
		var err error
		if h != nil {
			_, err = app.AppendHistogram(0, ls, ts, h, nil)
		} else {
			_, err = app.Append(0, ls, ts, v)
		}
		must(t, err)
		must(t, app.Commit())
		if want[name] == nil {
			want[name] = map[int64]string{}
		}
		want[name][ts] = render(v, model.Histogram{Int: h})
	}
	putExemplar := func(ts int64, v float64) {
		app := db.Appender(ctx)
		e := exemplar.Exemplar{Labels: labels.FromStrings("trace_id", fmt.Sprint(ts)), Value: v, Ts: ts, HasTs: true}
		_, err := app.AppendExemplar(0, labels.FromStrings("__name__", "gauge", "job", "x"), e)
		must(t, err)
		must(t, app.Commit())
	}
	for i := range int64(500) { // 8 hours: three blocks and a head
		ts := start + i*model.MinuteMs
		put("gauge", ts, float64(i)*1.5, nil)
		switch i {
		case 100:
			put("special", ts, math.Float64frombits(value.StaleNaN), nil)
		case 200:
			put("special", ts, math.Float64frombits(0x8000000000000000), nil)
		case 300:
			put("special", ts, math.Float64frombits(0x7ff8000000000123), nil)
		}
		if i%10 == 0 {
			h := &histogram.Histogram{
				Schema: 1, Count: uint64(i) + 3, Sum: float64(i), ZeroThreshold: 0.001, ZeroCount: uint64(i),
				PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{1, 1},
			}
			put("histogram", ts, 0, h)
		}
	}
	must(t, db.Compact(ctx))
	snapshot := filepath.Join(t.TempDir(), "snapshot") // it has no log
	must(t, db.Snapshot(snapshot, true))
	sameSamples(t, snapshot, want)
	for i := int64(400); i < 500; i++ {
		putExemplar(start+i*model.MinuteMs, float64(i))
	}
	put("gauge", start+30, 7, nil) // out of order: into a block's time and into the head's
	put("gauge", start+490*model.MinuteMs+30, 8, nil)
	must(t, db.Delete(ctx, start+50*model.MinuteMs, start+60*model.MinuteMs, labels.MustNewMatcher(labels.MatchEqual, "__name__", "gauge")))
	for i := int64(50); i <= 60; i++ {
		delete(want["gauge"], start+i*model.MinuteMs)
	}
	if len(db.Blocks()) == 0 {
		t.Fatal("no blocks were made")
	}
	must(t, db.Close())

	src, err := Open(dir, slog.New(slog.DiscardHandler))
	must(t, err)
	plan, err := src.Plan(ctx)
	must(t, err)
	if plan.Min > start || plan.Max < start+499*model.MinuteMs || len(plan.Units) != 2 {
		t.Errorf("plan %+v", plan)
	}
	got := map[string]map[int64]string{}
	var exemplars []model.Exemplar
	for _, u := range plan.Units {
		last := int64(0)
		must(t, src.Read(ctx, u, 0, func(pos int64, item *transfer.Item) error {
			name := item.Labels.Get("__name__")
			if got[name] == nil {
				got[name] = map[int64]string{}
			}
			for i, ts := range item.Samples.T {
				if _, twice := got[name][ts]; twice {
					t.Errorf("%s at %d twice", name, ts)
				}
				got[name][ts] = render(item.Samples.V[i], item.Samples.HistogramAt(i))
			}
			exemplars = append(exemplars, item.Exemplars...)
			if pos <= last || pos > u.Size {
				t.Errorf("position %d after %d of %d", pos, last, u.Size)
			}
			last = pos
			return nil
		}))
		// A second read from a position gives the rest.
		rest := 0
		must(t, src.Read(ctx, u, 1, func(int64, *transfer.Item) error { rest++; return nil }))
		if rest != int(last)-1 {
			t.Errorf("%d items behind the first of %d", rest, last)
		}
	}
	must(t, src.Close())
	for name, samples := range want {
		if len(got[name]) != len(samples) {
			t.Errorf("%s: %d samples, want %d", name, len(got[name]), len(samples))
		}
		for ts, v := range samples {
			if got[name][ts] != v {
				t.Errorf("%s at %d: %s, want %s", name, ts, got[name][ts], v)
			}
		}
	}
	if len(exemplars) != maxSeriesExemplars {
		t.Errorf("%d exemplars, want the newest %d of 100", len(exemplars), maxSeriesExemplars)
	}
	for i, e := range exemplars {
		n := int64(100 - maxSeriesExemplars + 400 + i)
		ts := start + n*model.MinuteMs
		if want := (model.Exemplar{T: ts, V: float64(n), Labels: labels.FromStrings("trace_id", fmt.Sprint(ts))}); !e.Equal(want) {
			t.Errorf("exemplar %d is %+v, want %+v", i, e, want)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "tmp_dbro_sandbox*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if _, err := Open(t.TempDir(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("an empty directory was taken for one of Prometheus")
	}
}

// sameSamples compares the samples of a directory with those wanted, by metric and time.
func sameSamples(t *testing.T, dir string, want map[string]map[int64]string) {
	t.Helper()
	src, err := Open(dir, slog.New(slog.DiscardHandler))
	must(t, err)
	plan, err := src.Plan(t.Context())
	must(t, err)
	n := 0
	for _, u := range plan.Units {
		must(t, src.Read(t.Context(), u, 0, func(_ int64, item *transfer.Item) error {
			name := item.Labels.Get("__name__")
			for i, ts := range item.Samples.T {
				if n++; want[name][ts] != render(item.Samples.V[i], item.Samples.HistogramAt(i)) {
					t.Errorf("%s: %s at %d differs", dir, name, ts)
				}
			}
			return nil
		}))
	}
	must(t, src.Close())
	for _, samples := range want {
		n -= len(samples)
	}
	if n != 0 {
		t.Errorf("%s: %d samples more than there were", dir, n)
	}
}

func render(v float64, h model.Histogram) string {
	if h.Int != nil {
		c := h.Int.Copy()
		c.CounterResetHint = 0
		return fmt.Sprintf("%+v", *c)
	}
	return fmt.Sprintf("%016x", math.Float64bits(v))
}
