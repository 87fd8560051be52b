package block

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// indexBlock writes one sample for every label set and returns the block and
// the label sets in its order.
func indexBlock(t testing.TB, c *Cache, sets []labels.Labels) (*Block, []labels.Labels) {
	t.Helper()
	m := &modelBlock{meta: Meta{Key: SpanningKey(L0), MinGen: 1, MaxGen: 1}}
	for _, ls := range sets {
		s := modelSeries{labels: ls}
		s.samples.Append(firstDay, 0, 1, model.Histogram{})
		m.series = append(m.series, s)
	}
	m.sort()
	fs := vfs.NewMem()
	b := openTest(t, fs, m.write(t, fs, "data", 10), c)
	sorted := make([]labels.Labels, len(m.series))
	for i := range m.series {
		sorted[i] = m.series[i].labels
	}
	return b, sorted
}

// naive evaluates matchers as Prometheus defines them.
func naive(sets []labels.Labels, ms []*labels.Matcher) []uint32 {
	ords := []uint32{}
	for i, ls := range sets {
		all := true
		for _, m := range ms {
			all = all && matches(m, ls.Get(m.Name))
		}
		if all {
			ords = append(ords, uint32(i))
		}
	}
	return ords
}

func TestMatchersAgreeWithANaiveEvaluation(t *testing.T) {
	rnd := newRand(t)
	c, err := NewCache(1 << 20)
	must(t, err)
	t.Cleanup(c.Close)
	values := []string{"a", "ab", "abc", "b", "foo", "foo-1", "foo-2", "foobar", "Foo", "x.y", "ü", "\xff", "\xff\xff", "10", "2"}
	var sets []labels.Labels
	for i := range 3000 {
		b := labels.NewScratchBuilder(6)
		b.Add("id", fmt.Sprintf("id-%05d", i))
		for _, n := range []string{"A", MetricName, "job", "zone", "wide"} {
			switch {
			case rnd.IntN(4) == 0:
			case n == "wide":
				b.Add(n, fmt.Sprintf("wide-%d", rnd.IntN(2500)))
			default:
				b.Add(n, values[rnd.IntN(len(values))])
			}
		}
		b.Sort()
		sets = append(sets, b.Labels())
	}
	b, sets := indexBlock(t, c, sets)
	patterns := []string{
		"", "a", "abc", "nothing", "foo.*", "foo-.+", "foo-(1|2)", "a|b|foo", "a|", ".*", ".+", "(?i)foo", "f.*r", ".*o.*",
		"[ab]+", "x.y", "x\\.y", "id-0.*", "id-00017", "id-0001[0-9]", "wide-1.*", "wide-.*", "(foo|)", "ü", "^a$", "a?", "10|2|id-00003",
		"(?i)foo.*", "(?i:f)oo-.*", "foo(?i:BAR)", "(?i)FOO|a", "foo-.*|b.*", "(foo|x).*", ".+|", "[^a].*", "(?i)ID-0001.*", "f(oo|x)?-1",
	}
	match := func() *labels.Matcher {
		names := []string{"A", MetricName, "job", "zone", "wide", "id", "absent"}
		return labels.MustNewMatcher(labels.MatchType(rnd.IntN(4)), names[rnd.IntN(len(names))], patterns[rnd.IntN(len(patterns))])
	}
	for range 1500 {
		ms := make([]*labels.Matcher, rnd.IntN(4))
		for i := range ms {
			ms[i] = match()
		}
		bm, err := b.Postings(context.Background(), 0, compiled(ms...))
		must(t, err)
		want := naive(sets, ms)
		if got := bm.ToArray(); !slices.Equal(got, want) {
			t.Fatalf("%v: %d series, want %d", ms, len(got), len(want))
		}
		found, err := b.Select(context.Background(), 0, compiled(ms...), nil)
		must(t, err)
		ls, err := found.Labels(context.Background(), nil)
		must(t, err)
		if !slices.Equal(found.Ordinals, want) || len(ls.All) != len(want) || len(found.IDs) != len(want) || len(found.Lost) > 0 {
			t.Fatalf("%v: %d series selected, want %d", ms, len(found.Ordinals), len(want))
		}
		for i, ord := range want {
			id, _ := model.IdentityOf(idSeed, 0, sets[ord], nil)
			one, err := found.LabelsAt(i)
			must(t, err)
			if found.IDs[i] != id || !labels.Equal(ls.All[i], sets[ord]) || !labels.Equal(one, sets[ord]) {
				t.Fatalf("%v: series %d is %v and %v, want %v", ms, ord, ls.All[i], one, sets[ord])
			}
		}
	}
	if bm, err := b.Postings(context.Background(), 1, nil); err != nil || !bm.IsEmpty() {
		t.Errorf("series of an absent tenant: %v, %v", bm, err)
	}
}

// A value, a set and a prefix are looked up: most of a long dictionary is not
// read. Other regular expressions see every value, .* and .+ none.
func TestSetsAndPrefixesReadLittleOfADictionary(t *testing.T) {
	m := &modelBlock{meta: Meta{Key: SpanningKey(L0), MinGen: 1, MaxGen: 1}}
	for i := range uint32(20_000) {
		s := modelSeries{labels: labels.FromStrings(MetricName, "m", "id", fmt.Sprintf("%08x", i*2654435761))}
		s.samples.Append(firstDay, 0, 1, model.Histogram{})
		m.series = append(m.series, s)
	}
	m.sort()
	fs := &countFS{FS: vfs.NewMem()}
	info := m.write(t, fs.FS, "data", 10)
	some := m.series[12_345].labels.Get("id")
	for _, c := range []struct {
		kind    labels.MatchType
		pattern string
		scans   bool
	}{
		{labels.MatchEqual, some, false},
		{labels.MatchNotEqual, some, false},
		{labels.MatchRegexp, some + "|absent", false},
		{labels.MatchNotRegexp, some + "|absent", false},
		{labels.MatchRegexp, some[:4] + ".*", false},
		{labels.MatchNotRegexp, some[:4] + ".+", false},
		{labels.MatchRegexp, "0000.+|" + some[:4] + ".*", false},
		{labels.MatchRegexp, ".*", false},
		{labels.MatchNotRegexp, ".+", false},
		{labels.MatchEqual, "", false},
		{labels.MatchRegexp, ".*" + some[4:], true},
		{labels.MatchRegexp, "(?i)" + some[:4] + ".*", false},
		{labels.MatchRegexp, "(?i).*" + some[4:], true},
	} {
		b := openTest(t, fs, info, nil)
		dictionary := b.table[sectionDictionaries]
		fs.watch(dictionary.off, dictionary.length)
		_, err := b.Postings(context.Background(), 0, compiled(labels.MustNewMatcher(c.kind, "id", c.pattern)))
		must(t, err)
		if part := float64(fs.watched.Load()) / float64(dictionary.length); part > 0.2 && !c.scans || part < 0.9 && c.scans {
			t.Errorf("%v %q reads %.3f of the dictionary", c.kind, c.pattern, part)
		}
	}
}

func TestLabelNamesAndValuesOfSomeSeries(t *testing.T) {
	rnd := newRand(t)
	var sets []labels.Labels
	for i := range 2000 {
		pairs := []string{MetricName, fmt.Sprintf("m%d", i%7), "id", fmt.Sprint(i)}
		if i%3 == 0 {
			pairs = append(pairs, "third", fmt.Sprint(i%30))
		}
		if i == 1234 {
			pairs = append(pairs, "once", "yes")
		}
		sets = append(sets, labels.FromStrings(pairs...))
	}
	b, sets := indexBlock(t, nil, sets)
	ctx := context.Background()
	for range 30 {
		bm, err := b.Postings(ctx, 0, nil)
		must(t, err)
		for it, keep := bm.Clone().Iterator(), rnd.IntN(100); it.HasNext(); {
			if ord := it.Next(); rnd.IntN(100) >= keep {
				bm.Remove(ord)
			}
		}
		want := map[string]map[string]bool{}
		for it := bm.Iterator(); it.HasNext(); {
			sets[it.Next()].Range(func(l labels.Label) {
				if want[l.Name] == nil {
					want[l.Name] = map[string]bool{}
				}
				want[l.Name][l.Value] = true
			})
		}
		names, err := b.LabelNames(ctx, bm)
		must(t, err)
		if !slices.Equal(names, sortedKeys(want)) {
			t.Fatalf("names %v, want %v", names, sortedKeys(want))
		}
		for _, n := range []string{MetricName, "id", "third", "once", "absent"} {
			values, err := b.LabelValues(ctx, n, bm, 0)
			must(t, err)
			if !slices.Equal(values, sortedKeys(want[n])) {
				t.Fatalf("values of %s: %v, want %v", n, values, sortedKeys(want[n]))
			}
			first, err := b.LabelValues(ctx, n, bm, 3)
			must(t, err)
			if !slices.Equal(first, values[:min(3, len(values))]) {
				t.Fatalf("first values of %s: %v of %v", n, first, values)
			}
		}
	}
	all, err := b.LabelValues(ctx, "id", nil, 0)
	must(t, err)
	first, err := b.LabelValues(ctx, "id", nil, 7)
	must(t, err)
	if !slices.Equal(first, all[:7]) {
		t.Errorf("first values of id: %v", first)
	}
	if len(all) != 2000 || !slices.IsSorted(all) {
		t.Errorf("%d values of id", len(all))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

// The order of series in a block is that of Compare, whatever sorts before the
// metric name.
func TestTheWriterKeepsTheOrderOfCompare(t *testing.T) {
	rnd := newRand(t)
	var sets []labels.Labels
	for range 300 {
		b := labels.NewScratchBuilder(4)
		for _, n := range []string{"A", "Z", MetricName, "a"} {
			if rnd.IntN(2) == 0 {
				b.Add(n, string(rune('a'+rnd.IntN(3))))
			}
		}
		b.Add("x", fmt.Sprint(rnd.IntN(3)))
		b.Sort()
		sets = append(sets, b.Labels())
	}
	b, sorted := indexBlock(t, nil, sets) // fails if Writer and Compare differ
	mustBeClean(t, b)
	w, err := Create(objstore.NewDir(vfs.NewMem(), "data"), Meta{Key: SpanningKey(L0)}, WriterOptions{})
	must(t, err)
	var one model.Samples
	one.Append(1, 0, 1, model.Histogram{})
	must(t, w.Series(0, model.Identity{}, sorted[1]))
	must(t, w.Samples(&one))
	must(t, w.Series(0, model.Identity{}, sorted[0]))
	_ = w.Samples(&one)
	if _, err := w.Finish(); err == nil {
		t.Error("series out of order are taken")
	}
}

func randomOrds(rnd *rand.Rand, series uint32) []uint32 {
	var ords []uint32
	o, gap, sparse := uint32(rnd.IntN(5)), 1+rnd.IntN(1<<rnd.IntN(12)), rnd.IntN(101)
	for o < series && len(ords) < 20_000 {
		ords = append(ords, o)
		if rnd.IntN(100) < sparse {
			o += uint32(1 + rnd.IntN(gap))
		} else {
			o++
		}
	}
	return ords
}

// Label sets that are too large for the cache are made once for all that use
// them at the same time, and go with the last.
func TestLabelSetsInUseAreShared(t *testing.T) {
	ctx := context.Background()
	var sets []labels.Labels
	for i := range 100 {
		sets = append(sets, labels.FromStrings(MetricName, "up", "instance", fmt.Sprintf("host-%02d", i)))
	}
	b, _ := indexBlock(t, nil, sets)
	found, err := b.Select(ctx, 0, nil, nil)
	must(t, err)
	first, err := found.Labels(ctx, nil)
	must(t, err)
	runtime.GC()
	again, err := found.Labels(ctx, nil)
	must(t, err)
	if again != first {
		t.Error("a second user has label sets of its own")
	}
	if made := found.inUse(&LabelSets{}); made != first {
		t.Error("who made label sets at the same time keeps them")
	}
	runtime.KeepAlive(first)
	first, again = nil, nil
	for range 3 {
		runtime.GC()
	}
	if found.inUse(nil) != nil {
		t.Error("label sets that nobody uses are held")
	}
	last, err := found.Labels(ctx, nil)
	must(t, err)
	if len(last.All) != len(sets) {
		t.Errorf("%d label sets, want %d", len(last.All), len(sets))
	}
}
