package storage

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
)

// The kinds of writes to a key: two numbers, a stale marker, a histogram.
const overwriteKinds = "12sh"

func overwriteSample(at int64, kind byte) (s model.Samples) {
	switch kind {
	case 's':
		s.Append(at, 0, math.Float64frombits(value.StaleNaN), model.Histogram{})
	case 'h':
		s.Append(at, 0, 0, model.Histogram{Float: &histogram.FloatHistogram{
			Count: 3, Sum: 7, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{3}}})
	default:
		s.Append(at, 0, float64(kind-'0'), model.Histogram{})
	}
	return s
}

// visibleKind returns the kind that writes to one key leave: the last one, but no stale
// marker hides a number.
func visibleKind(writes string) byte {
	last := writes[0]
	for i := range writes {
		if writes[i] != 's' || last == 's' {
			last = writes[i]
		}
	}
	return last
}

// Three writes to one key, of every combination of kinds, with each combination of a cut, a
// merge, a merge to the final block with its rollup, and a restart after each: every view, and
// the block file at the end, has what the last write gives. Each combination of kinds is a
// series.
func TestLastWriteWinsInEveryOrderOfCutMergeRollupAndRestart(t *testing.T) {
	var patterns []string
	for _, a := range overwriteKinds {
		for _, b := range overwriteKinds {
			for _, c := range overwriteKinds {
				patterns = append(patterns, string([]rune{a, b, c}))
			}
		}
	}
	merge := func(w *tieredWorld) {
		w.flush()
		_, err := w.db.compactor.mergeNext(w.ctx, compaction.PlanFinal)
		must(w.t, err)
	}
	actions := []struct {
		name string
		do   func(w *tieredWorld)
	}{
		{"nothing", func(*tieredWorld) {}},
		{"cut", (*tieredWorld).flush},
		{"merge", merge},
		{"roll", (*tieredWorld).compact},
		{"restart", (*tieredWorld).restart},
		{"cut, restart", func(w *tieredWorld) { w.flush(); w.restart() }},
	}
	at := dayAt(1) + 5*3600_000
	orders := len(actions) * len(actions) * len(actions)
	for n := 0; n < orders; n += unlessShort(1, 11) {
		chosen := []int{n % len(actions), n / len(actions) % len(actions), n / len(actions) / len(actions)}
		var name []string
		for _, c := range chosen {
			name = append(name, actions[c].name)
		}
		t.Run(strings.Join(name, "; "), func(t *testing.T) {
			w := newTieredWorld(t)
			w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
			w.restart()
			for round := range 3 {
				for i, p := range patterns {
					w.write(i, overwriteSample(at, p[round]))
				}
				for _, when := range []string{"written", actions[chosen[round]].name} {
					if when != "written" {
						actions[chosen[round]].do(w)
					}
					v := w.view()
					set, err := v.Select(w.ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
					must(t, err)
					if set.Len() != len(patterns) {
						t.Fatalf("%d series", set.Len())
					}
					for i := range set.Len() {
						var got model.Samples
						must(t, set.At(i).Samples(w.ctx, model.AllTime, &got))
						checkOverwritten(t, fmt.Sprint("round ", round, ", ", when), patterns, round+1, set.At(i).Labels, &got, at)
					}
					v.Release()
				}
			}
			w.compact()
			w.check(block.Hour, model.TimeRange{Min: dayAt(1), Max: dayAt(0)})
			v := w.view()
			defer v.Release()
			raw := v.st.blocks.Raw()
			if len(raw) != 1 || raw[0].Level != block.L2 || raw[0].Samples != uint64(len(patterns)) {
				t.Fatalf("%d blocks, the first %v with %d samples", len(raw), raw[0].Level, raw[0].Samples)
			}
			it, r := raw[0].Block().Iterate(), raw[0].Block().Reader()
			defer r.Release()
			for it.Next() {
				e, err := it.Series()
				must(t, err)
				var got model.Samples
				must(t, r.Append(w.ctx, it.Ordinal(), model.AllTime, &got))
				checkOverwritten(t, "in the block", patterns, 3, e.Labels, &got, at)
			}
			must(t, it.Err())
		})
	}
}

// checkOverwritten checks the samples of a series after the given number of writes of its pattern.
func checkOverwritten(t *testing.T, when string, patterns []string, writes int, ls labels.Labels, got *model.Samples, at int64) {
	t.Helper()
	var i int
	_, err := fmt.Sscan(ls.Get("i"), &i)
	must(t, err)
	want := overwriteSample(at, visibleKind(patterns[i][:writes]))
	if got.Len() != 1 || got.T[0] != at || math.Float64bits(got.V[0]) != math.Float64bits(want.V[0]) || !got.HistogramAt(0).Equal(want.HistogramAt(0)) {
		t.Errorf("%s: writes %s of a key give %v", when, patterns[i][:writes], got)
	}
}

func TestOverwrittenSamplesAreCounted(t *testing.T) {
	w := newTieredWorld(t)
	closeUncut(w.db)
	w.opts.Registerer = prometheus.NewRegistry()
	w.open()
	count := func(door string, want float64, when string) {
		t.Helper()
		if got := testutil.ToFloat64(w.db.metrics.overwritten.WithLabelValues(door)); got != want {
			t.Errorf("%s: %v samples overwritten by %s, want %v", when, got, door, want)
		}
	}
	at := dayAt(1)
	put := func(kinds string) {
		for i, kind := range kinds {
			if kind != '-' {
				w.write(i, overwriteSample(at, byte(kind)))
			}
		}
	}
	put("1s1sh")
	put("1s1sh")
	count("test", 0, "identical repetitions")
	put("211s1")
	count("test", 3, "a number by another, a marker by a number, a histogram by a number")
	put("-ss--")
	count("test", 3, "markers replace no number")
	w.flush()
	put("21s12") // the first two repeat, the third is a marker at a number
	w.compact()
	count("test", 3, "over samples in blocks")
	count(doorMerge, 2, "found by merges")
	w.compact()
	count(doorMerge, 2, "merged before")
}
