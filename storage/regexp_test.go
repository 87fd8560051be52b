package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match/matchtest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// regexpWorld is a database with a series m{v=…} for each of some values: the
// first part of them in a block, the others in memory.
type regexpWorld struct {
	db     *DB
	values []string // sorted, each once, none empty
}

func newRegexpWorld(t testing.TB, values []string, inBlock int) *regexpWorld {
	t.Helper()
	ctx := context.Background()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, AliasSeed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	write := func(values []string) {
		b := db.NewBatch("test", model.DefaultTenant)
		for _, v := range values {
			ref, err := b.Resolve(model.Hash{Hi: 1, Lo: uint64(len(v))<<32 | uint64(slices.Index(values, v))}, labels.FromStrings("__name__", "m", "v", v))
			if err != nil {
				t.Fatal(err)
			}
			b.Float(ref, clock.Now().UnixMilli(), 0, 1)
		}
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if inBlock > 0 {
		write(values[:inBlock])
		if _, err := db.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		db.head.Evict(db.writer.active().buf.Generation()) // the block is to answer for its series
	}
	if inBlock < len(values) {
		write(values[inBlock:])
	}
	return &regexpWorld{db, slices.Sorted(slices.Values(values))}
}

// check holds series and label values of a matcher to what regexp says.
func (w *regexpWorld) check(t testing.TB, typ labels.MatchType, text string) {
	t.Helper()
	m, err := labels.NewMatcher(typ, "v", text)
	if err != nil {
		return
	}
	re, err := regexp.Compile("^(?s:" + text + ")$")
	if err != nil {
		return
	}
	var want []string
	for _, v := range w.values {
		if re.MatchString(v) == (typ == labels.MatchRegexp) {
			want = append(want, v)
		}
	}
	view, err := w.db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	ctx := context.Background()
	set, err := view.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"), m)
	if err != nil {
		t.Fatalf("%v: %v", m, err)
	}
	var got []string
	for i := range set.Len() {
		got = append(got, set.At(i).Labels.Get("v"))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v selects %q, want %q", m, got, want)
	}
	if got, _, err = view.LabelValues(ctx, model.DefaultTenant, "v", model.AllTime, 0, m); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v: label values %q, %v, want %q", m, got, err, want)
	}
}

func TestRegexpAnswersDoNotDependOnWhereSeriesLie(t *testing.T) {
	values := []string{"a", "A", "b", "B", "|foo-bar|", "xfoobarx", "fi", "ﬁ", "FI", "x", "ς", "σ", "k", "\u212a", "ſ", "a\nb"}
	rnd := rand.New(rand.NewPCG(3, 4))
	for len(values) < 400 {
		if v := matchtest.Value(rnd, 4); v != "" && utf8.ValidString(v) && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	for _, inBlock := range []int{0, 2, len(values) / 2, len(values)} {
		t.Run(fmt.Sprintf("in block=%d", inBlock), func(t *testing.T) {
			w := newRegexpWorld(t, values, inBlock)
			for _, text := range []string{"[aA]|B", "(?i:a)|b", ".*(foo)bar.*", "(?i)(fi|x)", "(?i)k", "(?i)ς|s", "a.b", "a|", "", ".*", ".+", "a|b|nothing", "(?i).*FI.*"} {
				w.check(t, labels.MatchRegexp, text)
				w.check(t, labels.MatchNotRegexp, text)
			}
			random := 300
			if testing.Short() {
				random = 50
			}
			for range random {
				w.check(t, labels.MatchRegexp+labels.MatchType(rnd.IntN(2)), matchtest.Expression(rnd, 1+rnd.IntN(4)))
			}
		})
	}
}

// FuzzRegexpAnswers holds head, block and regexp to one answer, on the fuzzer's
// expression and on random ones, over series half of which are in a block.
func FuzzRegexpAnswers(f *testing.F) {
	rnd := rand.New(rand.NewPCG(5, 6))
	values := []string{"a", "A", "b", "B", "|foo-bar|"}
	for len(values) < 100 {
		if v := matchtest.Value(rnd, 4); v != "" && utf8.ValidString(v) && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	rnd.Shuffle(len(values), func(i, k int) { values[i], values[k] = values[k], values[i] })
	w := newRegexpWorld(f, values, len(values)/2)
	for _, s := range []string{"[aA]|B", "(?i:a)|b", ".*(foo)bar.*", "(?i)(fi|ς)", "a.*b|"} {
		f.Add(s, uint64(7))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if len(text) > 200 {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		for _, text := range []string{text, matchtest.Expression(rnd, 1+rnd.IntN(4))} {
			w.check(t, labels.MatchRegexp, text)
			w.check(t, labels.MatchNotRegexp, text)
		}
	})
}
