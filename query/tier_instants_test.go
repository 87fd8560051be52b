package query_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// longInstant returns a question of one long window, which mostly begins and ends
// inside buckets.
func (g *tierQuestions) longInstant() (q question, rounded *roundedCall) {
	width := pickOf(g.r, 24*model.HourMs, 24*model.HourMs+1, 25*model.HourMs, 36*model.HourMs, 3*model.DayMs, model.DayMs+g.r.Int64N(3*model.DayMs))
	q.start = tierStart + model.DayMs + g.r.Int64N(tierEnd-tierStart)
	q.start -= q.start % pickOf(g.r, model.HourMs, model.MinuteMs, 1000, 1000, 1)
	if width += pickOf(g.r, 0, 0, q.start%model.HourMs, q.start%model.HourMs); g.chance(10) {
		width += g.r.Int64N(2000) - 1000
	}
	q.end, q.step, q.instant = q.start, 1000, true
	width = max(width, 24*model.HourMs)
	names := append(integralNames, otherNames...)
	if g.chance(60) {
		rounded = &roundedCall{pickOf(g.r, roundedFunctions...), rangedSelector{g.selector(names), g.modifiers(), width}}
		q.text = rounded.String()
		return q, rounded
	}
	call := roundedCall{pickOf(g.r, exactFunctions...), rangedSelector{g.selector(names), g.modifiers(), width}}
	if q.text = call.String(); g.chance(20) {
		q.text = fmt.Sprintf("count by (g) (%s)", q.text)
	}
	return q, nil
}

// The ends of one long window are read as samples before it is known what the tier has
// of them, and mostly become one row. Answers are those of the samples all the same,
// with resets, stale markers, NaN, infinities, histograms, deletions and late samples
// at the ends or between.
func TestLongInstantsAnswerAsSamplesDo(t *testing.T) {
	n := questions(t, 3_000, 150)
	const perWorld, perChange = 150, 15
	var total tierCounts
	for first := 0; first < n && !t.Failed(); first += perWorld {
		w := newTierWorld(t, uint64(500+first/perWorld))
		w.compact()
		for i := range min(perWorld, n-first) {
			if i%perChange == perChange-1 {
				w.change()
			}
			q, rounded := (&tierQuestions{w.r}).longInstant()
			if w.check(w.engine, w.reg, q, rounded, pickOf(w.r, "auto", "1h", "1h", "1m"), &total) > 0 {
				total.tiered++
			}
			if t.Failed() {
				t.Logf("seed %d, question %d", w.seed, i)
				break
			}
		}
		w.close()
	}
	t.Logf("%d questions: %+v", n, total)
	if total.tiered < n/3 || total.rounded < n/100 || total.empty > n/4 {
		t.Errorf("too few of %d questions were answered from buckets: %+v", n, total)
	}
}

// A window begins after a sample at its left border and ends with one at its right one,
// and what rows cannot hold is found although only the cut hours have it.
func TestEndsOfLongInstantsAreExact(t *testing.T) {
	const from, days = tierStart, 2
	x := int64(from + 5*model.HourMs + 17*model.MinuteMs) // of all windows
	s := x + days*model.DayMs
	special := map[string]func(b *storage.Batch, ref model.Ref){
		"plain": func(*storage.Batch, model.Ref) {},
		"histogram_left": func(b *storage.Batch, ref model.Ref) {
			b.Histogram(ref, x+1000, 0, model.Histogram{Float: tsdbutil.GenerateTestFloatHistogram(1)})
		},
		"histogram_right": func(b *storage.Batch, ref model.Ref) {
			b.Histogram(ref, s-1000, 0, model.Histogram{Float: tsdbutil.GenerateTestFloatHistogram(1)})
		},
		"start_left":  func(b *storage.Batch, ref model.Ref) { b.Float(ref, x+1000, x+500, 9e8) },
		"start_right": func(b *storage.Batch, ref model.Ref) { b.Float(ref, s-1000, s-1500, 9e8) },
		"nan_left":    func(b *storage.Batch, ref model.Ref) { b.Float(ref, x+1000, 0, math.NaN()) },
		"stale_right": func(b *storage.Batch, ref model.Ref) { b.Float(ref, s-1000, 0, math.Float64frombits(value.StaleNaN)) },
		"reset_left": func(b *storage.Batch, ref model.Ref) {
			b.Float(ref, x+1000, 0, 0.125)
			b.Float(ref, x+2000, 0, 7e8)
			b.Float(ref, x+3000, 0, 0.375)
		},
	}
	w := &tierWorld{t: t, r: rand.New(rand.NewPCG(7, 8)), fs: vfs.NewMem(), reg: prometheus.NewRegistry()}
	w.clock = vfs.NewManualClock(time.UnixMilli(from + 5*model.DayMs))
	w.tiers = map[block.Tier]int64{block.Hour: 0}
	w.open()
	defer w.close()
	w.engine = query.New(query.Options{Registerer: w.reg, MaxSamples: 5_000_000, Parser: promqltest.TestParserOpts, UseStartTimestamps: true})
	for _, name := range slices.Sorted(maps.Keys(special)) {
		b := w.db.NewBatch("test", model.DefaultTenant)
		series := &tierSeries{labels: labels.FromStrings("__name__", "m", "i", name), name: name}
		ref := w.ref(b, series)
		v := 1e6
		for at := int64(from + 30_000); at < from+3*model.DayMs; at += 30_000 { // x and s are among them
			v += float64(w.r.IntN(90)) / 8
			b.Float(ref, at, 0, v)
		}
		w.commit(b)
		b = w.db.NewBatch("test", model.DefaultTenant)
		special[name](b, w.ref(b, series))
		w.commit(b)
	}
	w.flush()
	w.compact()
	var total tierCounts
	for _, f := range append(exactFunctions, roundedFunctions...) {
		for name := range special {
			for _, q := range []question{{start: s}, {start: s - 1}, {start: s + 1}, {start: s + 1500}} {
				call := &roundedCall{f, rangedSelector{fmt.Sprintf(`m{i=%q}`, name), "", q.start - x}}
				if q.start == s+1500 { // the left border moves too
					call.width = days * model.DayMs
				}
				q.text = call.String()
				q.end, q.step, q.instant = q.start, 1000, true
				if w.check(w.engine, w.reg, q, call, "1h", &total) > 0 {
					total.tiered++
				}
			}
		}
	}
	if total.tiered < 400 {
		t.Errorf("%d questions were answered from buckets", total.tiered)
	}
}
