package storage

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

func TestJoinSorted(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func() (list []string, set map[string]bool) {
		set = map[string]bool{}
		for range rnd.IntN(20) {
			set[strconv.Itoa(rnd.IntN(30))] = true
		}
		return slices.Sorted(maps.Keys(set)), set
	}
	for range 2000 {
		a, all := random()
		b, more := random()
		maps.Copy(all, more)
		want := slices.Sorted(maps.Keys(all))
		limit := rnd.IntN(25)
		if limit > 0 && len(want) > limit {
			want = want[:limit]
		}
		if got := joinSorted(slices.Clone(a), slices.Clone(b), limit); !slices.Equal(got, want) {
			t.Fatalf("%q and %q, limit %d: %q, want %q", a, b, limit, got, want)
		}
	}
}
