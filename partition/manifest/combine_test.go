package manifest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
)

// Random tombstones are combined, again with more of them, as deletions come. What
// they delete of a grid of series, times and generations stays the same. Values have
// the characters that an expression would take for its own.
func TestCombinedTombstonesDeleteTheSame(t *testing.T) {
	values := []string{"a", "b", "a.b", "a|b", `a\b`, "(", "ä", "x y", "^$"}
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(1, seed))
		var all, list []Tombstone
		id := uint64(0)
		next := func() uint64 { id++; return id }
		for range 1 + r.IntN(30) {
			ts := Tombstone{ID: next(), Tenant: uint32(r.IntN(2)), Gen: uint64(1 + r.IntN(2)), Range: model.TimeRange{Min: int64(r.IntN(3)) * 10}}
			ts.Range.Max = ts.Range.Min + []int64{9, 10, 20}[r.IntN(3)] // some end a millisecond before others begin
			for _, name := range []string{"i", "j"} {
				switch v := values[r.IntN(len(values))]; r.IntN(8) {
				case 0:
				case 1:
					ts.Matchers = append(ts.Matchers, labels.MustNewMatcher(labels.MatchNotEqual, name, v))
				case 2:
					ts.Matchers = append(ts.Matchers, labels.MustNewMatcher(labels.MatchRegexp, name, []string{"a.*", "a|b", `\d`, "a||b", `a\|b`, "(a|b)c"}[r.IntN(6)]))
				default:
					ts.Matchers = append(ts.Matchers, labels.MustNewMatcher(labels.MatchEqual, name, v))
				}
			}
			if len(ts.Matchers) == 0 {
				continue
			}
			all, list = append(all, ts), append(list, ts)
			if r.IntN(5) == 0 {
				list = Combine(list, next)
			}
		}
		list = Combine(list, next)
		if len(list) > len(all) {
			t.Fatalf("seed %d: %d of %d", seed, len(list), len(all))
		}
		compiled := map[uint64][]*match.Matcher{} // by ID
		for _, ts := range [][]Tombstone{all, list} {
			for i := range ts {
				ms, err := match.Compiled(ts[i].Matchers)
				if err != nil {
					t.Fatal(err)
				}
				compiled[ts[i].ID] = ms
			}
		}
		deletes := func(ts []Tombstone, tenant uint32, gen uint64, at int64, ls labels.Labels) bool {
			return slices.ContainsFunc(ts, func(t Tombstone) bool {
				return t.Tenant == tenant && gen < t.Gen && t.Range.Contains(at) && match.All(compiled[t.ID], ls)
			})
		}
		for range 400 {
			tenant, gen, at := uint32(r.IntN(2)), uint64(r.IntN(3)), int64(r.IntN(60)-5)
			ls := labels.FromStrings("i", values[r.IntN(len(values))], "j", append(values, "")[r.IntN(len(values)+1)])
			if want, got := deletes(all, tenant, gen, at, ls), deletes(list, tenant, gen, at, ls); got != want {
				t.Fatalf("seed %d: %v at %d of generation %d is deleted: %v, want %v\n%v\n%v", seed, ls, at, gen, got, want, list, all)
			}
		}
	}
}

// Ranges that touch are joined, and those with a millisecond between them are not.
func TestRangesThatTouchAreJoined(t *testing.T) {
	for _, c := range []struct{ from, to int64 }{{9, 20}, {10, 20}, {11, 10}} {
		ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "i", "a")}
		list := Combine([]Tombstone{{ID: 1, Gen: 1, Matchers: ms, Range: model.TimeRange{Min: 0, Max: 10}}, {ID: 2, Gen: 1, Matchers: ms, Range: model.TimeRange{Min: c.from, Max: 20}}},
			func() uint64 { return 3 })
		if got := list[len(list)-1].Range; c.to == 20 && (len(list) != 1 || got != model.TimeRange{Min: 0, Max: 20}) || c.to == 10 && len(list) != 2 {
			t.Errorf("[0, 10) and [%d, 20): %v", c.from, list)
		}
	}
}

// Ten thousand deletions of a series each are a few tombstones, and another one
// changes only the last of these.
func TestManyDeletionsAreFewTombstones(t *testing.T) {
	id := uint64(0)
	next := func() uint64 { id++; return id }
	one := func(i int) Tombstone {
		return Tombstone{ID: next(), Gen: 5, Range: model.AllTime, Matchers: []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "cpu"), labels.MustNewMatcher(labels.MatchEqual, "instance", fmt.Sprintf("host-%d:9100", i))}}
	}
	var list []Tombstone
	for i := range 10_000 {
		if list = append(list, one(i)); len(list) > 80 {
			list = Combine(list, next)
		}
	}
	list = Combine(list, next)
	if len(list) > 10 {
		t.Fatalf("%d tombstones", len(list))
	}
	first := list[0].ID
	if list = Combine(append(list, one(10_000)), next); len(list) > 10 || list[0].ID != first {
		t.Errorf("%d tombstones, the first has ID %d, was %d", len(list), list[0].ID, first)
	}
}
