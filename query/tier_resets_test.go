package query_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// resetsWorld is a tierWorld of three series with a sample a second, whose samples
// expire: a gauge, a counter, and one that is a gauge on the first day only.
func resetsWorld(t *testing.T) *tierWorld {
	w := &tierWorld{t: t, r: rand.New(rand.NewPCG(3, 4)), reg: prometheus.NewRegistry()}
	w.clock = vfs.NewManualClock(time.UnixMilli(tierStart + 5*model.DayMs))
	var err error
	w.db, err = storage.Open(t.Context(), doctortest.NewMem(t), "data", storage.Options{
		Clock: w.clock, Seed: 1, WALSegmentBytes: 1 << 20, ReserveBytes: 4096,
		RetentionMs: 10 * model.DayMs, TierRetentionMs: map[block.Tier]int64{block.Minute: 0, block.Hour: 0},
	})
	w.must(err)
	t.Cleanup(func() { w.must(w.db.Close(context.Background())) })
	w.q = query.NewQueryable(w.db, model.DefaultTenant)
	w.engine = query.New(query.Options{Registerer: w.reg, MaxSamples: 5_000_000, Parser: promqltest.TestParserOpts})
	for _, name := range []string{"gauge", "counter", "mixed"} {
		b := w.db.NewBatch("test", model.DefaultTenant)
		s := &tierSeries{labels: labels.FromStrings("__name__", name), name: name}
		v := 0.0
		for day := range int64(2) {
			for k := range 3 * model.HourMs / 1000 {
				if v += float64(w.r.IntN(9)); name == "gauge" || name == "mixed" && day == 0 {
					v -= 4
				}
				b.Float(w.ref(b, s), tierStart+day*model.DayMs+(k+1)*1000, 0, v)
			}
		}
		w.commit(b)
	}
	w.flush()
	w.compact()
	return w
}

// The functions that need the resets of series that fall often read samples as long
// as there are any, and are refused afterwards; hours have the resets. All other
// functions read buckets.
func TestResetsThatAreLeftOutAreReadAsSamples(t *testing.T) {
	w := resetsWorld(t)
	// ask returns the answer and the number of buckets it was read from.
	ask := func(text, resolution string, step int64) (*promql.Result, float64) {
		before := bucketsRead(t, w.reg)
		q := question{text: text, start: tierStart + model.HourMs, end: tierStart + model.DayMs + 3*model.HourMs, step: step}
		res := w.ask(q, query.WithResolution(nil, resolutionOf(t, resolution)))
		return res, bucketsRead(t, w.reg) - before
	}
	const steps = 5 * model.MinuteMs
	resets := []string{"rate", "increase", "resets", "changes"}
	others := []string{"delta", "irate", "max_over_time", "sum_over_time", "last_over_time", "count_over_time"}
	answers := map[string]*promql.Result{}
	for _, name := range []string{"gauge", "counter", "mixed"} {
		for _, f := range append(resets, others...) {
			text := fmt.Sprintf("%s(%s[5m])", f, name)
			want, _ := ask(text, "raw", steps)
			for _, resolution := range []string{"auto", "1m"} {
				got, read := ask(text, resolution, steps)
				if why := differs(question{text: text}, got, want, 0); why != "" || isEmpty(got.Value) {
					t.Errorf("%s at %s: %s", text, resolution, why)
				}
				all := float64(6 * 60)
				switch lacks := slices.Contains(resets, f); {
				case lacks && name == "gauge":
					all = 0
				case lacks && name == "mixed":
					all = 3 * 60
				}
				if resolution == "1m" && (read > all || read < all*0.6) || all == 0 && read > 0 {
					t.Errorf("%s at %s is read from %v buckets", text, resolution, read)
				}
			}
			answers[text] = want
		}
	}
	hourly, _ := ask("changes(gauge[1h])", "raw", model.HourMs)

	w.clock.Advance(20 * 24 * time.Hour)
	w.must(w.db.Retain(context.Background()))
	if res, _ := ask("count_over_time(gauge[5m])", "raw", steps); !isEmpty(res.Value) {
		t.Fatalf("samples have not expired: %v", res)
	}
	for text, want := range answers {
		refused := slices.Contains(resets, text[:strings.IndexByte(text, '(')]) && !strings.Contains(text, "counter")
		got, _ := ask(text, "auto", steps)
		if !refused {
			if why := differs(question{text: text}, got, want, 0); why != "" {
				t.Errorf("%s after samples have expired: %s", text, why)
			}
			continue
		}
		if got.Err == nil || !strings.Contains(got.Err.Error(), "have expired; the 1m rollup cannot answer ") ||
			!strings.Contains(got.Err.Error(), "the 1m rollup keeps no resets of series that fall often, such as {__name__=") {
			t.Errorf("%s after samples have expired: %v", text, got)
		}
	}
	got, _ := ask("changes(gauge[1h])", "auto", model.HourMs)
	if why := differs(question{text: "changes"}, got, hourly, 0); why != "" || isEmpty(got.Value) {
		t.Errorf("hours: %s", why)
	}
}
