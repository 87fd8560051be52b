package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// Every rule with an edit that keeps it and one that breaks it.
func TestCheckEdit(t *testing.T) {
	const blocks = "L2:1-4@0,keys:a-m L2:1-4@0,keys:n-z L1:5-6@0 L1:7-8@0 L1:5-6@1 L0:9-9 L0:11-11 L0:12-12"
	s := NewState(1, 0)
	byName := map[string]block.Info{} // "L1:5-6@0" and the like; L2s get their ordinal in the list behind
	for i, b := range listedBlocks(t, blocks) {
		b.Series, b.Samples, b.MaxTime = 1, 1, b.MinTime
		key := fmt.Sprintf("%v:%d-%d", b.Level, b.MinGen, b.MaxGen)
		if b.Level > block.L0 {
			key += fmt.Sprintf("@%d", (b.Partition-testDay)/model.DayMs)
		}
		if b.Level == block.L2 {
			key += fmt.Sprintf("#%d", i)
		}
		s.Blocks[b.Name] = b
		byName[key] = b.Info
	}
	s.WALLow, s.Floor = 13, testDay-model.DayMs
	s.Tombstones = []Tombstone{testTombstone(1, 6), testTombstone(2, 13)}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	get := func(names ...string) (in []block.Info) {
		for _, n := range names {
			b, ok := byName[n]
			if !ok {
				t.Fatalf("no block %s in %v", n, byName)
			}
			in = append(in, b)
		}
		return in
	}
	merge := func(level block.Level, day int64, keys KeyRange, names ...string) Edit {
		b := mergedBlock(level, testDay+day*model.DayMs, get(names...)...)
		if level == block.L0 {
			b.Partition, b.Name = block.NoPartition, ""
			b.Name = block.FileName(b.Meta)
		}
		return Edit{Add: []block.Info{b}, Drop: b.Inputs, Keys: map[string]KeyRange{b.Name: keys}}
	}
	with := func(e Edit, change func(e *Edit)) Edit {
		change(&e)
		return e
	}
	rename := func(b *block.Info, change func(b *block.Info)) {
		change(b)
		b.Name = block.FileName(b.Meta)
	}
	all := KeyRange{First: "a", Last: "z"}
	cut := cutEdit(cutBlock(13, 13))
	low, back, tomb := uint64(13), uint64(12), testTombstone(3, 13)
	final := []string{"L2:1-4@0#0", "L2:1-4@0#1", "L1:5-6@0"}

	for _, c := range []struct {
		name string
		edit Edit
		want string // in the error; empty if there is none
	}{
		{"a cut", cut, ""},
		{"a cut whose generation the WAL keeps", with(cut, func(e *Edit) { e.WALLow = &low }), "the WAL keeps"},
		{"a cut of an older generation", with(cutEdit(cutBlock(10, 10)), func(e *Edit) { e.WALLow = nil }), ""},
		{"of one that is there", with(cutEdit(cutBlock(9, 10)), func(e *Edit) { e.WALLow = nil }), "overlap"},
		{"of one that was merged", with(cutEdit(cutBlock(8, 8)), func(e *Edit) { e.WALLow = nil }), "is not older than"},
		{"a block twice", with(cut, func(e *Edit) { e.Add = append(e.Add, e.Add[0]) }), "which is listed"},
		{"a listed block", with(cut, func(e *Edit) {
			b := get("L0:9-9")[0]
			b.FooterLen, b.Size = 1, 1
			e.Add = []block.Info{b}
		}), "which is listed"},
		{"a wrong name", with(cutEdit(cutBlock(13, 13)), func(e *Edit) { e.Add[0].Name += "x" }), "should be named"},
		{"no samples", with(cutEdit(cutBlock(13, 13)), func(e *Edit) { e.Add[0].Samples = 0 }), "0 samples"},
		{"times out of order", with(cutEdit(cutBlock(13, 13)), func(e *Edit) { e.Add[0].MaxTime = 0 }), "times"},
		{"an L1 without inputs", with(cutEdit(cutBlock(13, 13)), func(e *Edit) {
			rename(&e.Add[0], func(b *block.Info) { b.Level, b.Partition = block.L1, testDay })
		}), "without inputs"},
		{"times outside the partition", with(merge(block.L1, 0, all, "L1:5-6@0", "L1:7-8@0"), func(e *Edit) {
			e.Add[0].MaxTime = testDay + model.DayMs
		}), "not in its partition"},
		{"keys of a block that is not there", with(cut, func(e *Edit) { e.Keys = map[string]KeyRange{"x": all} }), "not added"},

		{"the oldest L0s to L1", merge(block.L1, 2, all, "L0:9-9", "L0:11-11"), ""},
		{"not the oldest", merge(block.L1, 2, all, "L0:11-11"), "is not older than"},
		{"not neighbours", merge(block.L1, 2, all, "L0:9-9", "L0:12-12"), "is not older than"},
		{"L0s to L0", merge(block.L0, 0, KeyRange{}, "L0:11-11", "L0:12-12"), ""},
		{"L0s to L2", merge(block.L2, 2, all, "L0:9-9", "L0:11-11"), ""},
		{"an L0 and an L1", merge(block.L1, 0, all, "L1:7-8@0", "L0:9-9"), "with and without a partition"},
		{"L1s to L1", merge(block.L1, 0, all, "L1:5-6@0", "L1:7-8@0"), ""},
		{"L1s of two days", merge(block.L1, 0, all, "L1:5-6@1", "L1:7-8@0"), "another partition"},
		{"an L2 to L1", merge(block.L1, 0, all, "L2:1-4@0#0", "L1:5-6@0"), "is L2"},
		{"the oldest L1 to L2", merge(block.L2, 0, all, final...), ""},
		{"not the oldest L1", merge(block.L2, 0, all, "L2:1-4@0#0", "L2:1-4@0#1", "L1:7-8@0"), "is not newer than"},
		{"without an L2 that shares series", merge(block.L2, 0, all, "L2:1-4@0#0", "L1:5-6@0"), "share series"},
		{"without one that shares none", merge(block.L2, 0, KeyRange{First: "a", Last: "m"}, "L2:1-4@0#0", "L1:5-6@0"), ""},
		{"an input that is not listed", with(merge(block.L2, 0, all, final...), func(e *Edit) {
			rename(&e.Add[0], func(b *block.Info) { b.Inputs = append([]string{"l0/1-1.tsb"}, b.Inputs...) })
		}), "is not listed"},
		{"an input that stays", with(merge(block.L2, 0, all, final...), func(e *Edit) { e.Drop = e.Drop[1:] }), "stays"},
		{"fewer generations", with(merge(block.L1, 0, all, "L1:5-6@0", "L1:7-8@0"), func(e *Edit) {
			rename(&e.Add[0], func(b *block.Info) { b.MinGen++ })
		}), "generations"},
		{"more generations", with(merge(block.L1, 1, all, "L1:5-6@1"), func(e *Edit) {
			rename(&e.Add[0], func(b *block.Info) { b.MaxGen++ })
		}), "generations"},
		{"an L2 lifted over a deletion", with(merge(block.L2, 1, all, "L1:5-6@1"), func(e *Edit) {
			rename(&e.Add[0], func(b *block.Info) { b.MaxGen = 8 })
			e.Keys = nil
		}), ""},
		{"an L2 lifted too far", with(merge(block.L2, 1, all, "L1:5-6@1"), func(e *Edit) {
			rename(&e.Add[0], func(b *block.Info) { b.MaxGen = 9 })
			e.Keys = nil
		}), "is not older than"},

		{"dropped for nothing", Edit{Drop: []string{get("L1:5-6@1")[0].Name}}, "nothing was made from"},
		{"dropped by a deletion", Edit{Drop: []string{get("L2:1-4@0#0")[0].Name}}, ""},
		{"dropped below the floor", Edit{Drop: []string{get("L1:7-8@0")[0].Name}, Floor: ptr(testDay + model.DayMs)}, ""},
		{"dropped twice", Edit{Drop: []string{get("L2:1-4@0#0")[0].Name, get("L2:1-4@0#0")[0].Name}}, "twice"},
		{"what is not there", Edit{Drop: []string{"l0/1-1.tsb"}}, "not listed"},

		{"the WAL goes back", Edit{WALLow: &back}, "goes back"},
		{"the floor goes back", Edit{Floor: ptr(testDay - 2*model.DayMs)}, "goes back"},
		{"a floor inside a day", Edit{Floor: ptr(testDay + 5)}, "not the start"},
		{"a tombstone", Edit{AddTombstones: []Tombstone{tomb}}, ""},
		{"a tombstone twice", Edit{AddTombstones: []Tombstone{tomb, tomb}}, "which is there"},
		{"a tombstone of nothing", Edit{AddTombstones: []Tombstone{{ID: 9}}}, "range"},
		{"a tombstone is replaced", Edit{AddTombstones: []Tombstone{testTombstone(1, 13)}, DropTombstones: []uint64{1}}, ""},
		{"a tombstone that is not there", Edit{DropTombstones: []uint64{7}}, "not there"},
		{"a tombstone the WAL needs", Edit{DropTombstones: []uint64{2}}, "the WAL keeps"},
		{"a source with a long name", Edit{Offsets: map[string]int64{strings.Repeat("x", maxSourceNameBytes+1): 1}}, "bytes"},
	} {
		err := CheckEdit(s, c.edit)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.Is(err, ErrEdit) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestCheckEditBoundsTheDepth(t *testing.T) {
	s := NewState(1, 0)
	for gen := uint64(1); ; gen++ {
		l0 := cutBlock(gen, gen)
		s = s.Apply(cutEdit(l0))
		e := mergeEdit(mergedBlock(block.L1, testDay, l0))
		if err := CheckEdit(s, e); err != nil {
			if gen != MaxDepth+1 || !strings.Contains(err.Error(), "deep") {
				t.Fatalf("L1 number %d: %v", gen, err)
			}
			return
		}
		s = s.Apply(e)
	}
}

// listedBlocks describes blocks by one word each: level, generations, "@day" for
// L1 and L2 and ",keys:a-b". They are sorted.
func listedBlocks(t testing.TB, words string) []Listed {
	t.Helper()
	s := NewState(1, 0)
	for w := range strings.FieldsSeq(words) {
		var level, lo, hi, day int
		head, keys, found := strings.Cut(w, ",keys:")
		if n, _ := fmt.Sscanf(head, "L%d:%d-%d@%d", &level, &lo, &hi, &day); n < 3 {
			t.Fatalf("block %q", w)
		}
		start := testDay + int64(day)*model.DayMs
		m := block.Meta{Key: block.SpanningKey(block.Level(level)), MinGen: uint64(lo), MaxGen: uint64(hi), Inputs: []string{w}}
		if level > 0 {
			m.Partition = start
		}
		b := Listed{Info: block.Info{Name: block.FileName(m), Meta: m, Size: 100, MinTime: start}, Keys: KeyRange{First: "a", Last: "z"}}
		if found {
			b.Keys.First, b.Keys.Last, _ = strings.Cut(keys, "-")
		}
		s.Blocks[b.Name] = b
	}
	return s.Sorted()
}
