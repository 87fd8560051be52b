package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// Strategy: records of every field, with counts, lengths and numbers on both
// sides of every limit. Invariant: a record that is encoded is decoded to the
// same record; any other is refused with an error before a byte is written.
func TestWhatAnEditHoldsCanBeReadAgain(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	pick := func(ns ...int) int { return ns[r.Intn(len(ns))] }
	taken, refused := 0, 0
	var why []string
	for range 400 {
		rec := randomRecord(r, pick)
		b, err := appendFramed(nil, kindEdit, &rec)
		if err != nil {
			refused++
			why = append(why, strings.Join(strings.Fields(err.Error())[3:], " "))
			if len(b) != 0 {
				t.Fatal("a refused record left bytes")
			}
			continue
		}
		taken++
		f, ok := unframe(b, 0)
		if !ok {
			t.Fatal("an encoded record is no record")
		}
		got, err := decodeRecord(f.payload)
		if err != nil {
			t.Fatalf("an encoded record is refused: %v", err)
		}
		if !bytes.Equal(appendRecord(nil, got), f.payload) {
			t.Fatal("a record came back changed")
		}
	}
	if taken < 50 || refused < 50 {
		t.Errorf("%d taken, %d refused", taken, refused)
	}
	for _, what := range []string{"matchers exceed", "name or value of", "unknown type", "source name", "file name", "keys of", "should be named", "generations",
		"not the start", "lost ranges", "sources exceed", "samples do not stand in", "days,"} {
		if !slices.ContainsFunc(why, func(s string) bool { return strings.Contains(s, what) }) {
			t.Errorf("nothing was refused with %q", what)
		}
	}
}

func randomRecord(r *rand.Rand, pick func(...int) int) record {
	rec := record{Edit: Edit{Number: r.Uint64(), WallMs: r.Int63() - r.Int63(), Keys: map[string]KeyRange{}, HighGen: r.Uint64() >> r.Intn(64)}, ages: map[string]ages{}}
	odd := func() bool { return r.Intn(12) == 0 } // something that is refused, perhaps
	for range r.Intn(3) {
		b := cutBlock(uint64(r.Intn(1000)), uint64(1000+r.Intn(1000)))
		if r.Intn(2) == 0 {
			b = mergedBlock(block.L1, testDay, b)
		}
		if odd() {
			b.MinGen = b.MaxGen + 1
		}
		if odd() {
			b.Name += "x"
		}
		if odd() {
			b.Size, b.Samples = int64(pick(0, math.MaxInt64)), uint64(pick(0, 1))
		}
		rec.Add = append(rec.Add, b)
		k := KeyRange{First: "a", Last: "b" + strings.Repeat("k", pick(0, 200, maxKeyBytes-1))}
		if odd() {
			k.Last += strings.Repeat("k", maxKeyBytes)
		}
		rec.Keys[b.Name] = k
		rec.ages[b.Name] = ages{r.Int63(), r.Int63()}
	}
	for range r.Intn(3) {
		n := pick(1, 30, format.MaxNameBytes)
		if odd() {
			n = pick(0, format.MaxNameBytes+1)
		}
		rec.Drop = append(rec.Drop, strings.Repeat("d", n))
		rec.dropped = append(rec.dropped, strings.Repeat("e", n))
	}
	for range r.Intn(2) {
		ts := testTombstone(r.Uint64(), r.Uint64())
		n := pick(0, 1, model.MaxMatchers)
		if odd() {
			n = model.MaxMatchers + 1
		}
		for range n {
			ts.Matchers = append(ts.Matchers[:len(ts.Matchers):len(ts.Matchers)], labels.MustNewMatcher(labels.MatchType(r.Intn(4)), "n", "v"))
			if len(ts.Matchers) > n {
				ts.Matchers = ts.Matchers[1:]
			}
		}
		if n > 0 && odd() {
			long := strings.Repeat("v", model.MaxMatcherBytes+pick(0, 1))
			ts.Matchers[0] = labels.MustNewMatcher(labels.MatchEqual, long[:pick(1, len(long))], long)
		}
		if n > 0 && odd() {
			m := *ts.Matchers[0]
			m.Type = 9
			ts.Matchers[0] = &m
		}
		rec.AddTombstones = append(rec.AddTombstones, ts)
	}
	if r.Intn(2) == 0 {
		n := pick(0, 1, maxSourceNameBytes)
		if odd() {
			n = maxSourceNameBytes + 1
		}
		rec.Offsets = map[string]int64{strings.Repeat("s", n): r.Int63()}
	}
	if r.Intn(2) == 0 {
		randomCoverage(&rec, r, pick, odd)
	}
	for range r.Intn(2) {
		l := testRules(r.Uint64(), floors{block.Rollups[r.Intn(4)]: testDay + int64(r.Intn(9))*model.DayMs}, nil)
		if odd() {
			l.Rules = append(l.Rules, l.Rules...)
		}
		if odd() {
			l.Rules[0].Floors[block.Raw] = 5
		}
		rec.RuleLists, rec.DropRules = append(rec.RuleLists, l), append(rec.DropRules, r.Uint64())
	}
	return rec
}

func randomCoverage(rec *record, r *rand.Rand, pick func(...int) int, odd func() bool) {
	l2 := mergedBlock(block.L2, testDay, cutBlock(1, 4))
	b := rollupBlock(block.Minute, uint32(pick(1, block.MaxDays)), r.Uint64(), l2)
	if odd() {
		b.Days = block.MaxDays + 1
	}
	b.Name = block.FileName(b.Meta)
	rec.Add = append(rec.Add, b)
	for range r.Intn(3) {
		c := cover(block.Rollups[r.Intn(4)], int64(r.Intn(1000)), strings.Repeat("b", pick(0, 1, format.MaxNameBytes)), r.Uint64(), l2)
		c.StandIn, c.Tombstone = r.Intn(2) == 0, r.Uint64()
		if odd() {
			c.Day++
		}
		if odd() {
			c.Block = strings.Repeat("b", format.MaxNameBytes+1)
		}
		if odd() {
			c.Sources = append(c.Sources, strings.Repeat("s", pick(0, format.MaxNameBytes, format.MaxNameBytes+1)))
		}
		for i := range pick(0, 1, MaxLost) {
			c.Lost = append(c.Lost, model.TimeRange{Min: int64(3 * i), Max: int64(3*i + 1)})
		}
		if odd() {
			c.Lost = append(c.Lost, model.TimeRange{Min: 1 << 40, Max: 1<<40 + int64(pick(0, 1))})
		}
		if odd() {
			c.Sources = slices.Repeat([]string{"s"}, block.MaxInputs+pick(0, 1))
		}
		rec.Cover = append(rec.Cover, c)
		rec.Uncover = append(rec.Uncover, c.CoverKey)
		rec.TierFloors = map[block.Tier]int64{c.Tier: c.Day}
	}
}

// A deletion that no MANIFEST could hold is refused before anything is written:
// the next edit works, and what is on disk can be read.
func TestTombstoneTooLargeIsRefusedByTheEdit(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	many := testTombstone(1, 1)
	for i := range model.MaxMatchers + 1 {
		many.Matchers = append(many.Matchers, labels.MustNewMatcher(labels.MatchEqual, "a", fmt.Sprint(i)))
	}
	long := testTombstone(2, 1)
	long.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", strings.Repeat("x", model.MaxMatcherBytes+1))}
	for limit, ts := range map[string]Tombstone{"1024": many, "1048576": long} {
		if _, err := m.Apply(Edit{AddTombstones: []Tombstone{ts}}); !errors.Is(err, ErrEdit) || !strings.Contains(err.Error(), limit) {
			t.Errorf("error %v does not name the limit %s", err, limit)
		}
	}
	want := mustApply(t, m, Edit{AddTombstones: []Tombstone{testTombstone(3, 1)}})
	got, torn, err := Read(fsys, "d")
	if err != nil || torn.Bytes != 0 {
		t.Fatal(err, torn)
	}
	if got.Number != want.Number || len(got.Tombstones) != 1 {
		t.Errorf("edit %d with %d tombstones", got.Number, len(got.Tombstones))
	}
}
