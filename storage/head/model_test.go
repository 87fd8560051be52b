package head

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
)

// The model test writes random samples to a few series and compares the buffer with
// slices that are merged sample by sample with model.Merge. Invariants: every read of
// any range equals the model's; a sample counts as replaced exactly if the value at
// its key changed; an identical sample changes neither count nor memory; a deleted one
// is not there for reads and for later samples.
func TestBufferEqualsModel(t *testing.T) {
	seed := uint64(seedOf(t))
	rounds := 60
	if raceEnabled {
		rounds = 20
	}
	for round := range rounds {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		runModel(t, r, round)
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

func runModel(t *testing.T, r *rand.Rand, round int) {
	h := New(Options{})
	b := h.NewBuffer(1)
	defer b.Release()
	refs := seriesOf(t, h, 3)
	want := make([]model.Samples, len(refs))
	written := int64(0) // keys
	now := make([]int64, len(refs))
	ops := 200 + r.IntN(1500)
	deletes := []int{8, 40, 150}[r.IntN(3)]  // one in n operations
	lateness := []int{0, 5, 40, 90}[round%4] // percent
	kinds := round / 4 % 5
	for range ops {
		k := r.IntN(len(refs))
		one := randomSample(r, &now[k], lateness, kinds)
		var merged model.Samples
		model.Merge(&merged, &want[k], one)
		at := want[k].Search(one.T[0])
		known := at < want[k].Len() && want[k].T[at] == one.T[0]
		changes := !known || !merged.EqualAt(at, &want[k], at)
		before := b.Stats()
		got := write(t, h, b, refs[k], one)
		after := b.Stats()
		if wantReplaced := known && changes; (got == 1) != wantReplaced {
			t.Errorf("sample at %d: replaced %d, want %v: %+v after %+v, now %+v", one.T[0], got, wantReplaced, one, want[k].Slice(max(at, 0), at+1), merged.Slice(at, at+1))
			return
		}
		if !changes && before != after {
			t.Errorf("sample at %d changed nothing but %+v to %+v", one.T[0], before, after)
			return
		}
		want[k] = merged
		if !known {
			written++
		}
		if r.IntN(deletes) == 0 {
			tr := randomRange(r, now[k])
			got := deleteRange(h, b, refs[k], k, tr)
			if removed := removeRange(&want[k], tr); got.Samples < min(removed, 1) {
				t.Errorf("%d samples deleted of [%d, %d), want %d", got.Samples, tr.Min, tr.Max, removed)
				return
			}
			checkRead(t, b, refs[k], &want[k], randomRange(r, now[k]))
			if b.Has(refs[k], tr) {
				t.Errorf("series %d may have samples in [%d, %d), which is deleted", k, tr.Min, tr.Max)
				return
			}
		}
		if r.IntN(50) == 0 {
			checkRead(t, b, refs[k], &want[k], randomRange(r, now[k]))
		}
	}
	for k := range refs {
		checkRead(t, b, refs[k], &want[k], model.AllTime)
		for range 20 {
			checkRead(t, b, refs[k], &want[k], randomRange(r, now[k]))
		}
	}
	if got := b.Stats().Samples; got != written {
		t.Errorf("%d samples counted, want %d", got, written)
	}
}

// deleteRange deletes a range of series k, as seriesOf has made it.
func deleteRange(h *Head, b *Buffer, ref model.Ref, k int, tr model.TimeRange) Deleted {
	return NewDeletion(0, compiled(labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(k))), tr).Apply(h.Shard(ref.Shard()), b, nil)
}

func removeRange(s *model.Samples, tr model.TimeRange) (removed int) {
	lo, hi := s.Search(tr.Min), s.Search(tr.Max)
	if lo >= hi {
		return 0
	}
	var left model.Samples
	left.AppendRange(s, 0, lo)
	left.AppendRange(s, hi, s.Len())
	*s = left
	return hi - lo
}

func randomRange(r *rand.Rand, now int64) model.TimeRange {
	lo := r.Int64N(now+2) - 1
	return model.TimeRange{Min: lo, Max: lo + r.Int64N(now+2)}
}

// randomSample returns one sample, sometimes late or at the time of another.
func randomSample(r *rand.Rand, now *int64, lateness, kinds int) *model.Samples {
	at := *now
	switch {
	case r.IntN(100) < lateness && at > 0:
		at = r.Int64N(at + 1)
	case r.IntN(20) == 0: // the last one again
	case r.IntN(200) == 0: // a step that a stream cannot encode
		at += maxStep + r.Int64N(3) - 1
		*now = at
	default:
		at += 1 + r.Int64N(40)
		*now = at
	}
	v := []float64{0, 1, math.Float64frombits(value.StaleNaN), math.NaN(), math.Inf(1), math.Copysign(0, -1), r.Float64(), float64(r.IntN(3))}[r.IntN(8)]
	start := int64(0)
	if kinds&1 != 0 && r.IntN(2) == 0 {
		start = at - r.Int64N(3)*10
	}
	hist := model.Histogram{}
	if kinds&2 != 0 && r.IntN(3) == 0 || kinds == 4 {
		hist = randomHistogram(r)
		v = 0
	}
	s := new(model.Samples)
	s.Append(at, start, v, hist)
	return s
}

func randomHistogram(r *rand.Rand) model.Histogram {
	sum := float64(r.IntN(3))
	if r.IntN(5) == 0 {
		sum = math.Float64frombits(value.StaleNaN)
	}
	if r.IntN(2) == 0 {
		n := int64(r.IntN(4))
		return model.Histogram{Int: &histogram.Histogram{
			Schema: 1, ZeroThreshold: 0.001, ZeroCount: 1, Count: uint64(2*n + 3), Sum: sum,
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{n, 2},
		}}
	}
	n := float64(r.IntN(4))
	return model.Histogram{Float: &histogram.FloatHistogram{
		Schema: 2, ZeroThreshold: 0.001, ZeroCount: 1, Count: n + 1, Sum: sum,
		PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []float64{n},
		CounterResetHint: []histogram.CounterResetHint{histogram.UnknownCounterReset, histogram.GaugeType}[r.IntN(2)],
	}}
}

func checkRead(t *testing.T, b *Buffer, ref model.Ref, want *model.Samples, tr model.TimeRange) {
	t.Helper()
	// Reading appends: the existing rows of dst are kept.
	var got model.Samples
	got.Append(-5, 0, 7, model.Histogram{})
	b.Samples(ref, tr, &got)
	lo, hi := want.Search(tr.Min), want.Search(tr.Max)
	if got.Len()-1 != max(0, hi-lo) {
		t.Errorf("range [%d, %d): %d samples, want %d", tr.Min, tr.Max, got.Len()-1, hi-lo)
		return
	}
	if got.T[0] != -5 || got.V[0] != 7 || got.StartAt(0) != 0 || !got.HistogramAt(0).IsZero() {
		t.Errorf("the sample before became %d %v", got.T[0], got.V[0])
	}
	for i := lo; i < hi; i++ {
		if !got.EqualAt(i-lo+1, want, i) {
			t.Errorf("range [%d, %d): sample %d is %d %v, want %d %v", tr.Min, tr.Max, i, got.T[i-lo+1], got.V[i-lo+1], want.T[i], want.V[i])
			return
		}
	}
	if lo < hi {
		if !b.Has(ref, tr) {
			t.Errorf("range [%d, %d): Has is false", tr.Min, tr.Max)
		}
	}
}
