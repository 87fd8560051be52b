package query_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// tierWorld is a database with days of random samples and rollups of some of them, to
// ask the same of tiers and of samples. What happens to it is what happens to a
// database: samples come late and over others, some are deleted, the head is cut,
// blocks are merged, days are rolled up and folded, and it is opened again.
type tierWorld struct {
	t      *testing.T
	seed   uint64
	r      *rand.Rand
	fs     *vfs.Mem
	clock  *vfs.ManualClock
	db     *storage.DB
	q      *query.Queryable
	reg    *prometheus.Registry
	engine *query.Engine

	cacheReg *prometheus.Registry
	cached   *query.Engine // with a cache of answers
	series   []*tierSeries
	tiers    map[block.Tier]int64 // the rollups that are made
	keepMs   int64                // retention of samples; 0 = for ever
}

const (
	tierDays  = 4
	tierStart = 19_000 * model.DayMs // of the samples
	tierEnd   = tierStart + tierDays*model.DayMs

	// In tierDense, which lies on two days, the series with i="1" have many samples a
	// minute, so the 1m tier has buckets there. At other times their samples stand in.
	tierDense    = tierStart + 20*model.HourMs
	tierDenseEnd = tierDense + 10*model.HourMs
)

// tierSeries is a series of a tierWorld.
type tierSeries struct {
	labels  labels.Labels
	name, i string
	sample  func() (float64, *histogram.FloatHistogram)
}

// allTiers are the rollups that a world has: with some seeds one that is coarser than an
// hour.
func (w *tierWorld) allTiers() map[block.Tier]int64 {
	tiers := map[block.Tier]int64{block.Minute: 0, block.Hour: 0}
	if w.seed%3 > 0 {
		tiers[block.Hours6] = 0
	}
	return tiers
}

func newTierWorld(t *testing.T, seed uint64) *tierWorld {
	w := &tierWorld{t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 5)), fs: vfs.NewMem(), reg: prometheus.NewRegistry(), cacheReg: prometheus.NewRegistry()}
	w.clock = vfs.NewManualClock(time.UnixMilli(tierEnd + 30*model.HourMs))
	w.tiers = w.allTiers()
	w.open()
	opts := query.Options{
		Registerer: w.reg, MaxSamples: 5_000_000, Parser: promqltest.TestParserOpts, UseStartTimestamps: seed%2 == 0, DelayedNameRemoval: seed%5 == 4,
	}
	w.engine = query.New(opts)
	opts.Registerer, opts.CacheBytes = w.cacheReg, 4<<20
	w.cached = query.New(opts)
	w.t.Cleanup(w.cached.Close)
	for k := range 2 {
		i := fmt.Sprint(k)
		w.add("requests_total", i, w.counter(true))
		w.add("seconds_total", i, w.counter(false))
		w.add("ints", i, w.ints())
		w.add("gauge", i, w.gauge())
		w.add("odd", i, w.odd())
		w.add("constant", i, w.constant())
	}
	w.add("mixed", "0", w.mixed())
	for _, s := range w.series {
		w.fill(s)
	}
	w.flush()
	return w
}

func (w *tierWorld) close() { w.must(w.db.Close(context.Background())) }

func (w *tierWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
}

func (w *tierWorld) open() {
	doctortest.Opened(w.t, w.fs, "data")
	var err error
	w.db, err = storage.Open(w.t.Context(), w.fs, "data", storage.Options{
		MaxFutureMs: 10 * model.DayMs, Clock: w.clock, Seed: 1, WALSegmentBytes: 1 << 20, CacheBytes: 4 << 20, ReserveBytes: 4096,
		TierRetentionMs: w.tiers, RetentionMs: w.keepMs,
	})
	w.must(err)
	w.q = query.NewQueryable(w.db, model.DefaultTenant)
}

func (w *tierWorld) chance(percent int) bool { return w.r.IntN(100) < percent }

func (w *tierWorld) add(name, i string, sample func() (float64, *histogram.FloatHistogram)) {
	w.series = append(w.series, &tierSeries{labels.FromStrings("__name__", name, "i", i, "g", fmt.Sprint(len(w.series)%3)), name, i, sample})
}

type sampler = func() (float64, *histogram.FloatHistogram)

func (w *tierWorld) counter(integral bool) sampler {
	v := w.r.Float64() * 1000
	resets := pickOf(w.r, 0, 200, 2000)
	return func() (float64, *histogram.FloatHistogram) {
		if v += w.r.ExpFloat64() * 30; resets > 0 && w.r.IntN(resets) == 0 {
			v = w.r.Float64() * 5
		}
		if integral {
			return math.Floor(v), nil
		}
		return v, nil
	}
}

func (w *tierWorld) ints() sampler {
	v := 0
	return func() (float64, *histogram.FloatHistogram) {
		v += w.r.IntN(7) - 3
		return float64(v), nil
	}
}

func (w *tierWorld) gauge() sampler {
	return func() (float64, *histogram.FloatHistogram) { return w.r.NormFloat64() * 1e3, nil }
}

func (w *tierWorld) constant() sampler {
	v := 5.0
	return func() (float64, *histogram.FloatHistogram) {
		if w.r.IntN(100) == 0 {
			v = pickOf(w.r, 0.0, 1, 1, math.Copysign(0, -1), 0.1)
		}
		return v, nil
	}
}

// odd gives long runs of ordinary values, so that there are buckets without others.
func (w *tierWorld) odd() sampler {
	left, special := 0, false
	return func() (float64, *histogram.FloatHistogram) {
		if left--; left < 0 {
			left, special = w.r.IntN(400), !special
		}
		if !special {
			return w.r.ExpFloat64(), nil
		}
		return pickOf(w.r, math.NaN(), math.Inf(1), math.Inf(-1), 1e308, -1e308, math.Copysign(0, -1), 0, 5e-324, 1, 2), nil
	}
}

func (w *tierWorld) mixed() sampler {
	n, left, hist := 0.0, 300, false
	return func() (float64, *histogram.FloatHistogram) {
		if left--; left < 0 {
			if hist = !hist; hist {
				left = w.r.IntN(20)
			} else {
				left = w.r.IntN(2000)
			}
		}
		n++
		if hist {
			return 0, &histogram.FloatHistogram{Count: n, Sum: n, ZeroThreshold: 0.01, ZeroCount: n}
		}
		return n, nil
	}
}

func pickOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// fill writes days of a series. Its interval changes; it has jitter, gaps, and stale
// markers before gaps, between samples, and alone.
func (w *tierWorld) fill(s *tierSeries) {
	b := w.db.NewBatch("test", model.DefaultTenant)
	if s.i == "1" {
		w.fillRange(b, s, tierDense, tierDenseEnd, 1000, 2000, 2000, 5000, 5000)
		w.fillRange(b, s, tierDenseEnd, tierEnd, 60_000, 300_000)
	} else {
		w.fillRange(b, s, tierStart, tierEnd, 10_000, 15_000, 15_000, 15_000, 30_000, 60_000, 60_000, 300_000, 1200_000)
	}
	w.commit(b)
}

// fillRange is fill for a range of time, with some of the intervals.
func (w *tierWorld) fillRange(b *storage.Batch, s *tierSeries, from, to int64, intervals ...int64) {
	at := from + w.r.Int64N(model.HourMs)
	if w.chance(20) {
		at += w.r.Int64N((to - from) / 2)
	}
	for at < to {
		interval := pickOf(w.r, intervals...)
		length := w.r.Int64N((to - from) / 6)
		jitter := pickOf(w.r, 0, 0, 10, interval/3)
		at += w.r.Int64N(interval)
		for until := min(at+length, to); at < until; at += interval {
			t := at
			if jitter > 0 {
				t += w.r.Int64N(jitter)
			}
			w.append(b, s, t)
			if w.r.IntN(2000) == 0 {
				w.stale(b, s, t+1+w.r.Int64N(interval))
			}
		}
		if w.chance(50) {
			if w.chance(60) {
				w.stale(b, s, at)
			}
			for at += w.r.Int64N((to - from) / 20); w.chance(30); at += w.r.Int64N((to - from) / 40) {
				w.stale(b, s, at)
			}
		}
	}
}

func (w *tierWorld) ref(b *storage.Batch, s *tierSeries) model.Ref {
	h := s.labels.Hash()
	ref, ok := b.Lookup(model.Hash{Hi: h, Lo: h})
	if !ok {
		var err error
		ref, err = b.Resolve(model.Hash{Hi: h, Lo: h}, s.labels)
		w.must(err)
	}
	return ref
}

func (w *tierWorld) append(b *storage.Batch, s *tierSeries, t int64) {
	v, h := s.sample()
	if h != nil {
		b.Histogram(w.ref(b, s), t, 0, model.Histogram{Float: h})
		return
	}
	start := int64(0)
	if s.name == "seconds_total" && s.i == "1" && t%model.DayMs > 20*model.HourMs {
		start = t/model.HourMs*model.HourMs - 1
	}
	b.Float(w.ref(b, s), t, start, v)
}

func (w *tierWorld) stale(b *storage.Batch, s *tierSeries, t int64) {
	b.Float(w.ref(b, s), t, 0, math.Float64frombits(value.StaleNaN))
}

func (w *tierWorld) commit(b *storage.Batch) {
	res, err := b.Commit(context.Background())
	w.must(err)
	if n := res.RejectedCount(); n > 0 {
		w.t.Fatalf("seed %d: %d samples refused", w.seed, n)
	}
}

func (w *tierWorld) any() *tierSeries { return w.series[w.r.IntN(len(w.series))] }

// change does one of the things that happen to a database.
func (w *tierWorld) change() {
	switch w.r.IntN(9) {
	case 0, 1: // late samples, some in the place of others
		b := w.db.NewBatch("test", model.DefaultTenant)
		for range 1 + w.r.IntN(3) {
			s := w.any()
			at := int64(tierStart) + w.r.Int64N(tierEnd-tierStart)
			at -= at % pickOf(w.r, int64(1), 1, 15_000, model.HourMs)
			for k := range w.r.Int64N(30) {
				if t := at + k*pickOf(w.r, int64(1), 1000, 15_000); w.chance(95) {
					w.append(b, s, t)
				} else {
					w.stale(b, s, t)
				}
			}
		}
		w.commit(b)
	case 2:
		s := w.any()
		tr := model.TimeRange{Min: tierStart + w.r.Int64N(tierEnd-tierStart)}
		tr.Max = tr.Min + 1 + w.r.Int64N(pickOf(w.r, 60_000, model.HourMs, 10*model.HourMs))
		w.must(w.db.Delete(context.Background(), model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "__name__", s.name), labels.MustNewMatcher(labels.MatchEqual, "i", s.i)))
	case 3:
		w.flush()
	case 4: // merges without rollups: what is newer than these is in the final blocks then
		tiers := w.tiers
		w.tiers = nil
		w.restart()
		w.compact()
		w.tiers = tiers
		w.restart()
	case 5:
		w.restart()
	case 6: // a tier goes off, and has no rows of days that change
		w.tiers = w.allTiers()
		if w.chance(70) {
			delete(w.tiers, pickOf(w.r, slices.Sorted(maps.Keys(w.tiers))...))
		}
		w.restart()
		w.compact()
	default:
		w.compact()
	}
}

func (w *tierWorld) restart() {
	w.close()
	w.open()
}

func (w *tierWorld) flush() {
	_, err := w.db.Flush(context.Background())
	w.must(err)
}

// compact merges all blocks and, if the database makes rollups, rolls up all days and
// folds them.
func (w *tierWorld) compact() {
	_, err := w.db.Compact(context.Background())
	w.must(err)
}

func (w *tierWorld) ask(q question, opts promql.QueryOpts) *promql.Result {
	return w.exec(w.engine, q, opts)
}

func (w *tierWorld) exec(e *query.Engine, q question, opts promql.QueryOpts) *promql.Result {
	var p promql.Query
	var err error
	if q.instant {
		p, err = e.NewInstantQuery(w.t.Context(), w.q, opts, q.text, time.UnixMilli(q.start))
	} else {
		p, err = e.NewRangeQuery(w.t.Context(), w.q, opts, q.text, time.UnixMilli(q.start), time.UnixMilli(q.end), time.Duration(q.step)*time.Millisecond)
	}
	if err != nil {
		w.t.Fatalf("seed %d: %v: %v", w.seed, q, err)
	}
	return p.Exec(w.t.Context())
}
