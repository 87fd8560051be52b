package head

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// A deletion in many series takes the lock of a shard several times. Whatever is written
// between, to series that it has marked and to others, stays; all that was there before it
// began is deleted, and counted once.
func TestWritesWhileADeletionGoesOn(t *testing.T) {
	seed := uint64(seedOf(t))
	for round := range 40 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		h := New(Options{ExemplarsMax: 5})
		b := h.NewBuffer(1)
		refs := seriesOf(t, h, 60)
		want := make([]model.Samples, len(refs))
		exemplars := make([][]int64, len(refs)) // their times
		now := make([]int64, len(refs))
		add := func(k int) {
			if at := r.Int64N(now[k] + 1); r.IntN(4) == 0 && !slices.Contains(exemplars[k], at) && len(exemplars[k]) < 5 {
				writeExemplar(h, b, refs[k], model.Exemplar{T: at, V: 1})
				exemplars[k] = append(exemplars[k], at)
				return
			}
			one := randomSample(r, &now[k], 30, round%5)
			write(t, h, b, refs[k], one)
			var merged model.Samples
			model.Merge(&merged, &want[k], one)
			want[k] = merged
		}
		for range 60 * (1 + r.IntN(30)) {
			add(r.IntN(len(refs)))
		}
		tr := model.TimeRange{Min: r.Int64N(200), Max: 200 + r.Int64N(600)}
		series, between := 0, 0
		d := NewDeletion(0, compiled(labels.MustNewMatcher(labels.MatchRegexp, "i", ".+")), tr)
		d.step = 1 + r.IntN(3)
		d.between = func() {
			between++
			for range 5 { // to all shards: to those before and after it too
				add(r.IntN(len(refs)))
			}
		}
		for shard := range b.shards {
			n := d.Apply(h.Shard(shard), b, func() {
				for k, ref := range refs {
					if ref.Shard() != shard {
						continue
					}
					before := len(exemplars[k])
					exemplars[k] = slices.DeleteFunc(exemplars[k], tr.Contains)
					if removed := removeRange(&want[k], tr); removed > 0 || len(exemplars[k]) < before {
						series++
					}
				}
			})
			series -= n.Series
			if b.shards[shard].deleting != nil {
				t.Fatal("the deletion is not over")
			}
		}
		if between == 0 || series > 0 {
			t.Errorf("seed %d, round %d: %d times without the lock, %d series too few are counted", seed, round, between, series)
		}
		for k, ref := range refs {
			checkRead(t, b, ref, &want[k], model.AllTime)
			var es []int64
			for _, e := range b.Exemplars(ref) {
				es = append(es, e.T)
			}
			slices.Sort(exemplars[k])
			if !slices.Equal(es, exemplars[k]) {
				t.Errorf("series %d: exemplars at %d, want %d", k, es, exemplars[k])
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
		b.Release()
	}
}
