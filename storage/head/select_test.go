package head

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// randomLabels returns a label set of few names and values, so that matchers
// hit often; some labels are missing.
func randomLabels(r *rand.Rand) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	if r.IntN(10) > 0 {
		b.Set("__name__", fmt.Sprintf("m%d", r.IntN(4)))
	}
	for _, name := range []string{"a", "b", "c", "job"} {
		if r.IntN(3) > 0 {
			b.Set(name, []string{"x", "y", "xy", "foo", "bar", "foobar", "1", "X"}[r.IntN(8)])
		}
	}
	b.Set("i", fmt.Sprint(r.IntN(1000)))
	return b.Labels()
}

func randomMatcher(r *rand.Rand) *labels.Matcher {
	name := []string{"__name__", "a", "b", "c", "job", "i", "nosuch", ""}[r.IntN(8)]
	typ := labels.MatchType(r.IntN(4))
	value := []string{"", "x", "y", "foo", "1", "m1", "zzz"}[r.IntN(7)]
	if typ == labels.MatchRegexp || typ == labels.MatchNotRegexp {
		value = []string{"", ".*", ".+", "x|y", "x|", "fo.*", ".*o", ".*oo.*", "(?i:x)", "[xy]+", "m[0-2]", "1.*", "[0-9]?[a-z]*", "zzz"}[r.IntN(14)]
	}
	return labels.MustNewMatcher(typ, name, value)
}

type known struct {
	tenant uint32
	ls     labels.Labels
}

// Select is compared with a scan that evaluates every matcher on every series, while
// series are created and evicted.
func TestSelectEqualsScan(t *testing.T) {
	seed := uint64(seedOf(t))
	for round := range 30 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		h := New(Options{})
		series := make(map[model.Ref]known)
		for gen := uint64(1); gen < 5; gen++ {
			b := h.NewBuffer(gen)
			for range r.IntN(1500) {
				k := known{tenant: uint32(r.IntN(2)) * 7, ls: randomLabels(r)}
				ref, _ := h.Resolve(k.tenant, k.ls)
				series[ref] = k
				if r.IntN(3) > 0 {
					write(t, h, b, ref, floats(float64(gen), 1))
				}
			}
			checkSelect(t, r, h, series, b)
			b.Release()
			for ref := range series {
				if r.IntN(2) == 0 { // in use in this generation
					s := h.Shard(ref.Shard())
					s.Lock()
					s.MarkDefinedLocked(gen+1, []uint32{ref.Slot()})
					s.Unlock()
				}
			}
			h.Evict(gen + 1)
			maps.DeleteFunc(series, func(ref model.Ref, _ known) bool {
				_, _, _, ok := h.Labels(ref)
				return !ok
			})
			if gen == 3 {
				for i := range h.shards {
					h.shards[i].packAnew()
				}
			}
			if gen%2 == 0 {
				for i := range h.shards {
					h.shards[i].packLists()
				}
			}
			checkSelect(t, r, h, series, nil)
		}
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

func checkSelect(t *testing.T, r *rand.Rand, h *Head, series map[model.Ref]known, b *Buffer) {
	t.Helper()
	ctx := context.Background()
	for ref, k := range series {
		tenant, _, ls, ok := h.Labels(ref)
		if !ok || tenant != k.tenant || !labels.Equal(ls, k.ls) {
			t.Errorf("ref %x names %v, want %v", uint64(ref), ls, k.ls)
			return
		}
	}
	for range 40 {
		var ms []*labels.Matcher
		for range r.IntN(4) {
			ms = append(ms, randomMatcher(r))
		}
		var in []*Buffer
		if b != nil && r.IntN(2) == 0 {
			in = []*Buffer{b}
		}
		tenant := uint32(r.IntN(3)) * 7
		tr := model.AllTime
		if r.IntN(2) == 0 { // the times of samples are generation numbers
			tr.Min = int64(r.IntN(6))
			tr.Max = tr.Min + int64(r.IntN(4))
		}
		want := map[model.Ref]bool{}
		names, values := map[string]bool{}, map[string]bool{}
		for ref, k := range series {
			ok := k.tenant == tenant && (in == nil || b.Has(ref, tr))
			for _, m := range ms {
				ok = ok && matches(m, k.ls.Get(m.Name))
			}
			if ok {
				want[ref] = true
				k.ls.Range(func(l labels.Label) { names[l.Name] = true })
				if v := k.ls.Get("a"); v != "" {
					values[v] = true
				}
			}
		}
		got, err := h.Select(ctx, tenant, compiled(ms...), tr, in...)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("%v of tenant %d: %d series, want %d", ms, tenant, len(got), len(want))
			return
		}
		for _, ref := range got {
			if !want[ref] {
				t.Errorf("%v of tenant %d: series %v", ms, tenant, series[ref])
				return
			}
		}
		if got, err := h.Select(ctx, tenant, compiled(ms...), tr, []*Buffer{}...); err != nil || len(got) != 0 {
			t.Errorf("%v: %d series in no buffer", ms, len(got))
		}
		gotNames, err := h.LabelNames(ctx, tenant, compiled(ms...), tr, in...)
		if want := slices.Sorted(maps.Keys(names)); err != nil || !slices.Equal(gotNames, want) {
			t.Errorf("%v of tenant %d: label names %v, want %v", ms, tenant, gotNames, want)
		}
		gotValues, err := h.LabelValues(ctx, tenant, "a", compiled(ms...), tr, 0, in...)
		if want := slices.Sorted(maps.Keys(values)); err != nil || !slices.Equal(gotValues, want) {
			t.Errorf("%v of tenant %d: label values %v, want %v", ms, tenant, gotValues, want)
		}
	}
}

// A label with a different value for every series: expressions are evaluated without
// the lock, and again if the tables were repacked meanwhile.
func TestSelectOverManyValues(t *testing.T) {
	h := New(Options{})
	const n = 30_000
	for i := range n {
		h.Resolve(0, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "odd", fmt.Sprint(i%2)))
	}
	match := func(typ labels.MatchType, name, value string) *labels.Matcher {
		return labels.MustNewMatcher(typ, name, value)
	}
	for _, ms := range [][]*labels.Matcher{
		{match(labels.MatchRegexp, "i", ".*7")},
		{match(labels.MatchRegexp, "i", "[0-9]*[13]5"), match(labels.MatchEqual, "odd", "1")},
		{match(labels.MatchNotRegexp, "i", "1.*"), match(labels.MatchNotRegexp, "i", ".*2")},
		{match(labels.MatchNotEqual, "i", "")},
		{match(labels.MatchEqual, "i", "")},
		{match(labels.MatchEqual, "i", "17"), match(labels.MatchRegexp, "i", "1.*")},
	} {
		want := 0
		for i := range n {
			ls := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "odd", fmt.Sprint(i%2))
			ok := true
			for _, m := range ms {
				ok = ok && matches(m, ls.Get(m.Name))
			}
			if ok {
				want++
			}
		}
		got, err := h.Select(context.Background(), 0, compiled(ms...), model.AllTime)
		if err != nil || len(got) != want {
			t.Errorf("%v: %d series, %v, want %d", ms, len(got), err, want)
		}
		values, err := h.LabelValues(context.Background(), 0, "i", compiled(ms...), model.AllTime, 0)
		if wantValues := want; err != nil || len(values) != wantValues {
			t.Errorf("%v: %d values, %v, want %d", ms, len(values), err, wantValues)
		}
	}

	s := h.Shard(5)
	q := newSelection(0, compiled(match(labels.MatchRegexp, "i", ".*7")), model.AllTime, nil)
	if q.run(s); q.wanted == nil {
		t.Fatal("many values were evaluated under the lock")
	}
	q.wanted.prepare(s)
	s.packAnew()
	q.wanted = nil
	if q.run(s); q.wanted == nil {
		t.Fatal("answers for term ids of before were used")
	}
	q.wanted.prepare(s)
	q.wanted = nil
	before := len(q.run(s))
	if q.wanted != nil || before == 0 {
		t.Fatalf("%d series, prepared answers not used", before)
	}
	id := model.Identity{Hi: 1, Lo: 5}
	s.create(0, id, labels.FromStrings("i", "new7")) // after the answers were prepared
	if got := len(q.run(s)); got != before+1 {
		t.Errorf("%d series after one more came, %d before", got, before)
	}
}

// firstTexts holds the first texts, however many there are.
func TestFirstTexts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, limit := range []int{0, 1, 7, 500} {
		f := firstTexts{limit: limit, texts: map[string]struct{}{}}
		all := map[string]bool{}
		for range 20_000 {
			text := strconv.Itoa(rnd.IntN(8000))
			all[text] = true
			f.add(text)
			if n := len(f.texts); limit > 0 && n > 2*limit+minFirstTexts {
				t.Fatalf("%d texts are held for a limit of %d", n, limit)
			}
		}
		want := slices.Sorted(maps.Keys(all))
		if limit > 0 {
			want = want[:limit]
		}
		if got := f.sorted(); !slices.Equal(got, want) {
			t.Errorf("limit %d: %d texts, want %d: %.10q, want %.10q", limit, len(got), len(want), got, want)
		}
	}
}
