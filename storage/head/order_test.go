package head

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

func compareBlockOrder(a, b known) int {
	return cmp.Or(
		cmp.Compare(a.tenant, b.tenant),
		strings.Compare(a.ls.Get("__name__"), b.ls.Get("__name__")),
		labels.Compare(others(a.ls), others(b.ls)),
	)
}

func others(ls labels.Labels) labels.Labels {
	return labels.NewBuilder(ls).Del("__name__").Labels()
}

// While series are created, become idle and are evicted, Sorted returns exactly the
// series with samples in the buffer, in the order of blocks.
func TestSortedIsBlockOrder(t *testing.T) {
	seed := uint64(seedOf(t))
	for round := range 20 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		h := New(Options{})
		all := make(map[model.Ref]known)
		versions := make(map[uint64][]model.Ref)
		type answer struct{ got, want []model.Ref }
		var answers []answer
		for gen := uint64(1); gen < 8; gen++ {
			b := h.NewBuffer(gen)
			var want []model.Ref
			for range r.IntN(400) {
				k := known{tenant: uint32(r.IntN(3)) * 250, ls: randomLabels(r)}
				if r.IntN(20) == 0 {
					k.ls = labels.FromStrings("A", "before __name__", "a", "x")
				}
				ref, _ := h.Resolve(k.tenant, k.ls)
				all[ref] = k
				if r.IntN(4) > 0 {
					write(t, h, b, ref, floats(float64(gen), 1))
				}
			}
			for ref := range all {
				if alive(h, ref) && b.Has(ref, model.AllTime) {
					want = append(want, ref)
				}
			}
			slices.SortFunc(want, func(a, b model.Ref) int { return compareBlockOrder(all[a], all[b]) })
			got, version := h.Sorted(b)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, round %d, generation %d: %d series, want %d, or not in order", seed, round, gen, len(got), len(want))
			}
			if before, ok := versions[version]; version != 0 && ok && !slices.Equal(got, before) {
				t.Fatalf("seed %d, round %d, generation %d: version %d of the order had %d other series", seed, round, gen, version, len(before))
			}
			versions[version] = got
			answers = append(answers, answer{got, want})
			b.Release()
			h.Evict(gen + uint64(r.IntN(3)))
			if r.IntN(3) == 0 {
				for i := range h.shards {
					h.shards[i].packAnew()
				}
			}
		}
		for gen, a := range answers {
			if !slices.Equal(a.got, a.want) {
				t.Fatalf("seed %d, round %d: the series of generation %d have changed since", seed, round, gen+1)
			}
		}
	}
}
