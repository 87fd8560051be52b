package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// rollupBlock describes a block of a rollup that begins at testDay.
func rollupBlock(tier block.Tier, days uint32, tombstone uint64, sources ...block.Info) block.Info {
	lo, hi := Generations(sources)
	m := block.Meta{Key: block.Key{Tier: tier, Partition: testDay, Level: block.L2}, MinGen: lo, MaxGen: hi, Days: days, Tombstone: tombstone}
	for _, s := range sources {
		m.Sources = append(m.Sources, s.Name)
	}
	return block.Info{Name: block.FileName(m), Meta: m, Size: 500, FooterLen: 80, CRC: 0xbeef, Series: 2, Samples: 20,
		MinTime: testDay + 59_999, MaxTime: testDay + 3_599_999}
}

// cover is the entry of a day, counted from testDay, made from sources.
func cover(tier block.Tier, day int64, b string, gen uint64, sources ...block.Info) Coverage {
	c := Coverage{CoverKey: CoverKey{tier, testDay + day*model.DayMs}, Block: b, Gen: gen}
	for _, s := range sources {
		c.Sources = append(c.Sources, s.Name)
	}
	return c
}

func coverEdit(add []block.Info, cs ...Coverage) Edit {
	e := Edit{WallMs: 1_795_000_200_000, Add: add, Cover: cs, Keys: map[string]KeyRange{}}
	for _, b := range add {
		e.Keys[b.Name] = KeyRange{First: "a", Last: "z"}
	}
	return e
}

// rolledState has an L2 of two days, both rolled up into one block a tier, an L1 of
// a third day, and a day that has nothing.
type rolledState struct {
	*State
	day0, day1, l1 block.Info // raw
	minute, hour   block.Info
}

func newRolledState(t testing.TB) rolledState {
	t.Helper()
	r := rolledState{State: NewState(1, 0)}
	apply := func(e Edit) {
		t.Helper()
		if err := CheckEdit(r.State, e); err != nil {
			t.Fatal(err)
		}
		r.State = r.Apply(e)
	}
	cut := cutBlock(1, 4)
	cut.MaxTime += 2 * model.DayMs
	apply(cutEdit(cut))
	r.day0 = mergedBlock(block.L2, testDay, cut)
	r.day1 = mergedBlock(block.L2, testDay+model.DayMs, cut)
	e := mergeEdit(r.day0)
	e.Add = append(e.Add, r.day1)
	e.Keys[r.day1.Name] = KeyRange{First: "a", Last: "z"}
	apply(e)
	late := cutBlock(5, 6)
	late.MinTime, late.MaxTime = testDay+2*model.DayMs, testDay+2*model.DayMs+10
	apply(cutEdit(late))
	r.l1 = mergedBlock(block.L1, testDay+2*model.DayMs, late)
	apply(mergeEdit(r.l1))
	r.minute, r.hour = rollupBlock(block.Minute, 2, 0, r.day0, r.day1), rollupBlock(block.Hour, 2, 0, r.day0, r.day1)
	apply(coverEdit([]block.Info{r.minute, r.hour},
		cover(block.Minute, 0, r.minute.Name, 4, r.day0), cover(block.Minute, 1, r.minute.Name, 4, r.day1),
		cover(block.Hour, 0, r.hour.Name, 4, r.day0), cover(block.Hour, 1, r.hour.Name, 4, r.day1)))
	return r
}

// Every rule about rollups with an edit that keeps it and one that breaks it.
func TestCheckEditOfRollups(t *testing.T) {
	r := newRolledState(t)
	s := r.State.Clone()
	s.TierFloors[block.Hour] = testDay
	s.Tombstones = []Tombstone{testTombstone(1, 7), testTombstone(2, 7)}
	again := rollupBlock(block.Minute, 1, 2, r.day0)
	both := rollupBlock(block.Minute, 2, 2, r.day0, r.day1)
	with := func(c Coverage, change func(c *Coverage)) Coverage {
		change(&c)
		return c
	}
	drop := func(e Edit, names ...string) Edit {
		e.Drop = names
		return e
	}
	rename := func(b block.Info, change func(b *block.Info)) block.Info {
		change(&b)
		b.Name = block.FileName(b.Meta)
		return b
	}
	minute0, minute1 := cover(block.Minute, 0, r.minute.Name, 4, r.day0), cover(block.Minute, 1, r.minute.Name, 4, r.day1)
	key := func(tier block.Tier, day int64) CoverKey { return CoverKey{tier, testDay + day*model.DayMs} }
	// The raw L2 of the first day has been rewritten: same generations, another name.
	rewritten := mergedBlock(block.L2, testDay, r.day0)

	for _, c := range []struct {
		name string
		edit Edit
		want string // in the error; empty if there is none
	}{
		{"one of two days anew", coverEdit([]block.Info{again}, with(cover(block.Minute, 0, again.Name, 4, r.day0), func(c *Coverage) { c.Tombstone = 2 })), ""},
		{"both days anew", drop(coverEdit([]block.Info{both}, cover(block.Minute, 0, both.Name, 4, r.day0), cover(block.Minute, 1, both.Name, 4, r.day1)), r.minute.Name), ""},
		{"a block without an entry", coverEdit([]block.Info{again}), "no coverage names"},
		{"a block that no entry names stays", coverEdit([]block.Info{both}, cover(block.Minute, 0, both.Name, 4, r.day0), cover(block.Minute, 1, both.Name, 4, r.day1)), "no coverage names"},
		{"a block that an entry names is dropped", drop(Edit{}, r.minute.Name), "not a listed block"},
		{"the days of a block are uncovered", drop(Edit{Uncover: []CoverKey{key(block.Minute, 0), key(block.Minute, 1)}}, r.minute.Name), ""},
		{"one of them", Edit{Uncover: []CoverKey{key(block.Minute, 1)}}, ""},
		{"one that is not covered", Edit{Uncover: []CoverKey{key(block.Minute, 2)}}, "not covered"},
		{"one twice", Edit{Uncover: []CoverKey{key(block.Minute, 1), key(block.Minute, 1)}}, "not covered"},
		{"covered twice", coverEdit(nil, minute0, minute0), "twice"},
		{"covered and uncovered", Edit{Cover: []Coverage{minute0}, Uncover: []CoverKey{key(block.Minute, 0)}}, "twice"},
		{"a block of another tier", coverEdit(nil, with(minute0, func(c *Coverage) { c.Block = r.hour.Name })), "not a listed block of the day"},
		{"a block of another day", coverEdit([]block.Info{again}, cover(block.Minute, 1, again.Name, 4, r.day1)), "not a listed block of the day"},
		{"a raw block", coverEdit(nil, with(minute0, func(c *Coverage) { c.Block = r.day0.Name })), "not a listed block of the day"},
		{"the raw tier", coverEdit(nil, cover(block.Raw, 0, "", 4, r.day0)), "not a rollup"},
		{"a time inside a day", coverEdit(nil, with(minute0, func(c *Coverage) { c.Day++ })), "not the start of a partition"},
		{"samples stand in", coverEdit(nil, with(cover(block.Minute, 0, "", 4, r.day0), func(c *Coverage) { c.StandIn = true })), ""},
		{"samples stand in for hours", coverEdit(nil, with(cover(block.Hour, 0, "", 4, r.day0), func(c *Coverage) { c.StandIn = true })), "do not stand in"},
		{"lost ranges", coverEdit(nil, with(minute0, func(c *Coverage) { c.Lost = []model.TimeRange{{Min: 1, Max: 2}, {Min: 4, Max: 5}} })), ""},
		{"lost ranges that overlap", coverEdit(nil, with(minute0, func(c *Coverage) { c.Lost = []model.TimeRange{{Min: 1, Max: 4}, {Min: 3, Max: 5}} })), "not in order"},

		{"an empty day", coverEdit(nil, cover(block.Minute, 5, "", 6)), ""},
		{"a generation that the WAL keeps", coverEdit(nil, cover(block.Minute, 5, "", 7)), "generation 7"},
		{"not all of the day", coverEdit(nil, cover(block.Minutes5, 0, "", 4)), "is not a source"},
		{"a generation that an L1 has", coverEdit(nil, cover(block.Minute, 2, "", 5)), "are in L2s"},
		{"those before the L1", coverEdit(nil, cover(block.Minute, 2, "", 4)), ""},
		{"a source of another day", coverEdit(nil, cover(block.Minutes5, 0, "", 4, r.day0, r.day1)), "not a listed L2 of the day"},
		{"a source that has left", coverEdit(nil, cover(block.Minutes5, 0, "", 4, r.day0, rewritten)), "not a listed L2 of the day"},
		{"a generation less", coverEdit(nil, with(minute0, func(c *Coverage) { c.Gen = 3 })), "goes back"},
		{"a tombstone less", coverEdit(nil, with(minute0, func(c *Coverage) { c.Tombstone = 0 })), ""},
		{"a rollup without sources", coverEdit([]block.Info{rename(again, func(b *block.Info) { b.Sources = nil })}), "without sources"},
		{"a source of a block that has left", coverEdit([]block.Info{rename(again, func(b *block.Info) { b.Sources = []string{"raw/x.tsb"} })}), "is not listed"},
		{"an L1 as the source of a block", coverEdit([]block.Info{rename(again, func(b *block.Info) { b.Sources = []string{r.l1.Name} })}), "is L1"},
		{"a coarser source of a block", coverEdit([]block.Info{rename(again, func(b *block.Info) { b.Sources = []string{r.hour.Name} })}), "of tier 1h"},
		{"times outside of the days", coverEdit([]block.Info{rename(again, func(b *block.Info) { b.MaxTime += model.DayMs })}), "not in its days"},
		{"a rollup as an input", mergeEdit(rename(mergedBlock(block.L2, testDay, r.day0), func(b *block.Info) { b.Inputs = []string{r.minute.Name} })), "is L2"},

		{"raw data leave", Edit{Floor: ptr(testDay + model.DayMs), Drop: []string{r.day0.Name}}, ""},
		{"a day whose samples have left", Edit{Floor: ptr(testDay + model.DayMs), Drop: []string{r.day0.Name}, Cover: []Coverage{cover(block.Minutes5, 0, "", 4)}}, "below the retention floor"},
		{"raw data leave that stand in", Edit{Floor: ptr(testDay + 2*model.DayMs), Drop: []string{r.day0.Name, r.day1.Name}, Cover: []Coverage{with(cover(block.Minute, 1, "", 4, r.day1), func(c *Coverage) { c.StandIn = true })}}, "nothing was made from"},
		{"raw data stay that stand in", Edit{Floor: ptr(testDay + 2*model.DayMs), Drop: []string{r.day0.Name}, Cover: []Coverage{with(cover(block.Minute, 1, "", 4, r.day1), func(c *Coverage) { c.StandIn = true })}}, ""},
		{"they and a generation", Edit{Floor: ptr(testDay + model.DayMs), Drop: []string{r.day0.Name}, Cover: []Coverage{cover(block.Minute, 0, r.minute.Name, 3, r.day0)}}, ""},
		{"the raw data are rewritten", mergeEdit(rewritten), ""},
		{"a floor", Edit{TierFloors: map[block.Tier]int64{block.Minute: testDay}}, ""},
		{"a floor above an entry", Edit{TierFloors: map[block.Tier]int64{block.Minute: testDay + model.DayMs}}, "below the floor"},
		{"a floor of raw", Edit{TierFloors: map[block.Tier]int64{block.Raw: testDay}}, "not a rollup"},
		{"a floor inside a day", Edit{TierFloors: map[block.Tier]int64{block.Minute: testDay - 5}}, "not the start"},
		{"a floor goes back", Edit{TierFloors: map[block.Tier]int64{block.Hour: testDay - model.DayMs}}, "goes back"},
		{"an entry below the floor", coverEdit(nil, cover(block.Hour, -1, "", 4)), "below the floor"},
		{"the second day only", coverEdit(nil, minute1), ""},
	} {
		err := CheckEdit(s, c.edit)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.Is(err, ErrEdit) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}

	applied := s.Apply(coverEdit(nil, with(minute0, func(c *Coverage) { c.Tombstone = 2 })))
	err := CheckEdit(applied, coverEdit(nil, with(minute0, func(c *Coverage) { c.Tombstone = 1 })))
	if !errors.Is(err, ErrEdit) || !strings.Contains(err.Error(), "tombstone 2") {
		t.Errorf("an entry without a tombstone that the one before it has: %v", err)
	}
}

// A day is rolled up while its raw block is rewritten: had the tombstone that the
// rewrite applied been dropped meanwhile, the rollup would bring back the samples.
func TestCoverOfSourcesThatHaveLeftIsRefused(t *testing.T) {
	r := newRolledState(t)
	roll := coverEdit(nil, cover(block.Minutes5, 0, "", 4, r.day0))
	must(t, CheckEdit(r.State, roll))
	s := r.State.Apply(mergeEdit(mergedBlock(block.L2, testDay, r.day0)))
	if err := CheckEdit(s, roll); !errors.Is(err, ErrEdit) {
		t.Errorf("error %v", err)
	}
	// An entry that only moves to another block keeps its sources.
	folded := rollupBlock(block.Minute, 2, 0, r.minute, r.minute)
	e := coverEdit([]block.Info{folded}, cover(block.Minute, 0, folded.Name, 4, r.day0), cover(block.Minute, 1, folded.Name, 4, r.day1))
	e.Drop = []string{r.minute.Name}
	must(t, CheckEdit(s, e))
}

// A state whose coverage claims samples that may be in the log only is damaged.
func TestCoverageClaimsNothingOfTheLog(t *testing.T) {
	s := newRolledState(t).State.Clone()
	must(t, s.Check())
	s.WALLow = 4 // that of the entries
	if err := s.Check(); !errors.Is(err, ErrEdit) || !strings.Contains(err.Error(), "claims generation 4, which the WAL keeps") {
		t.Errorf("error %v", err)
	}
}

func TestCoverageIsCleanUpToItsGeneration(t *testing.T) {
	r := newRolledState(t)
	c, ok := r.CoverageOf(block.Minute, testDay)
	if _, other := r.CoverageOf(block.Minutes5, testDay); !ok || other {
		t.Fatal(ok, other)
	}
	lifted := r.day0
	lifted.MaxGen = 9
	for _, tc := range []struct {
		name string
		b    block.Info
		want bool
	}{
		{"a source", r.day0, true}, {"a source that was lifted", lifted, true},
		{"the same generations", mergedBlock(block.L2, testDay, r.day0), true},
		{"newer ones", mergedBlock(block.L2, testDay, r.day0, cutBlock(5, 5)), false},
		{"a newer cut", cutBlock(5, 5), false},
	} {
		if got := c.Clean(tc.b); got != tc.want {
			t.Errorf("%s: clean %v", tc.name, got)
		}
	}
}

func TestSettledGen(t *testing.T) {
	s := NewState(1, 0)
	for _, b := range listedBlocks(t, "L2:1-4@0 L1:3-6@1 L0:9-9 L0:11-12") {
		b.MaxTime = b.MinTime + 5
		s.Blocks[b.Name] = b
	}
	s.WALLow = 20
	covered := cover(block.Hour, 3, "", 7)
	s.Coverage[covered.CoverKey] = covered
	l1 := listedBlocks(t, "L1:5-12@3")[0]
	l1.MaxTime = l1.MinTime + 5
	s.Blocks[l1.Name] = l1
	for day, want := range []uint64{8, 2, 19, 7} { // the L0s are of the first day
		if got := s.SettledGen(testDay + int64(day)*model.DayMs); got != want {
			t.Errorf("day %d: %d, want %d", day, got, want)
		}
	}
}

// A tombstone is kept until no rollup block may hold what it deletes.
func TestTombstoneWaitsForRollups(t *testing.T) {
	r := newRolledState(t)
	ts := testTombstone(3, 5)
	ts.Range = model.TimeRange{Min: testDay, Max: testDay + model.DayMs}
	s := r.State.Apply(Edit{AddTombstones: []Tombstone{ts}}).Apply(Edit{Floor: ptr(testDay + model.DayMs), Drop: []string{r.day0.Name}})
	spent := func() string { return fmt.Sprint(SpentTombstones(s, nil)) }
	if got := spent(); got != "[]" {
		t.Errorf("spent %v while two tiers lack it", got)
	}
	none := func(_ *Tombstone, b string) bool { return b != r.minute.Name && b != r.hour.Name }
	if got := fmt.Sprint(SpentTombstones(s, none)); got != "[3]" {
		t.Errorf("spent %v though no block has the series", got)
	}
	minute, hour := cover(block.Minute, 0, r.minute.Name, 4, r.day0), cover(block.Hour, 0, "", 4, r.day0)
	minute.Tombstone = 3
	s = s.Apply(Edit{Cover: []Coverage{minute}})
	if got := spent(); got != "[]" {
		t.Errorf("spent %v while a tier lacks it", got)
	}
	s = s.Apply(Edit{Cover: []Coverage{hour}})
	before := minute
	before.Tombstone = 2
	if got := SpentTombstones(s.Apply(Edit{Cover: []Coverage{before}}), nil); len(got) != 0 {
		t.Errorf("spent %v while a tier has only the deletion before it", got)
	}
	if got := spent(); got != "[3]" {
		t.Errorf("spent %v", got)
	}
}

// rollupEdits brings m to the state of newRolledState, and further.
func rollupEdits(t testing.TB, m *Manifest) *State {
	t.Helper()
	r := newRolledState(t)
	raw := Edit{WallMs: 5, Add: []block.Info{cutBlock(1, 4)}, WALLow: ptr(uint64(7))}
	day0 := mergedBlock(block.L2, testDay, raw.Add[0])
	hour := rollupBlock(block.Hour, 2, 3, day0)
	c := cover(block.Minute, 0, "", 4, day0)
	c.StandIn, c.Tombstone = true, 3
	h := cover(block.Hour, 0, hour.Name, 4, day0)
	h.Lost = []model.TimeRange{{Min: testDay + 5, Max: testDay + 6}}
	var s *State
	for _, e := range []Edit{
		raw, mergeEdit(day0), coverEdit([]block.Info{hour}, c, h),
		{WallMs: 6, Uncover: []CoverKey{c.CoverKey}, TierFloors: map[block.Tier]int64{block.Minute: testDay + model.DayMs, block.Hour: testDay}},
	} {
		var err error
		if s, err = m.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.Coverage) != 4 || len(s.Coverage) != 1 {
		t.Fatal(r.Coverage, s.Coverage)
	}
	return s
}

func fileVersion(t *testing.T, fsys vfs.FS, name string) uint32 {
	t.Helper()
	b, err := readFile(fsys, name, MaxManifestBytes)
	must(t, err)
	return binary.LittleEndian.Uint32(b[8:])
}

// A database without rollups stays readable by programs that do not know them; the
// first edit about rollups brings both copies to the new version.
func TestManifestOfRollupsHasItsOwnVersion(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	someEdits(t, m)
	for _, base := range CopyNames {
		if v := fileVersion(t, fsys, "d/"+base); v != 1 {
			t.Errorf("%s without rollups has version %d", base, v)
		}
	}
	m = func() *Manifest {
		m, err := Create(fsys, "r", 1, 2)
		must(t, err)
		t.Cleanup(func() { _ = m.Close() })
		return m
	}()
	want := rollupEdits(t, m)
	for _, base := range CopyNames {
		if v := fileVersion(t, fsys, "r/"+base); v != versionRollups {
			t.Errorf("%s with rollups has version %d", base, v)
		}
		got, _, err := readManifest(fsys, "r", base)
		must(t, err)
		sameState(t, base, got, want)
	}
	if m.mu.log.edits == 0 || m.mu.twin.edits == 0 {
		t.Error("every edit about rollups writes a snapshot")
	}

	// A file whose version has no such fields is damaged.
	b, err := readFile(fsys, "r/MANIFEST", MaxManifestBytes)
	must(t, err)
	putFile(t, fsys, "old/MANIFEST", append(manifestHeader(1), b[manifestHeaderLen:]...))
	if _, err := Open(fsys, "old", 0); !errors.Is(err, format.ErrCorrupt) {
		t.Errorf("fields of version 2 in a file of version 1: %v", err)
	}
}

// Programs that know no tier coarser than an hour refuse a database with one by its
// version, whatever field names the tier, and open it again when it has left.
func TestManifestOfCoarseTiersHasItsOwnVersion(t *testing.T) {
	day := CoverKey{block.Hours6, testDay}
	rules := testRules(1, floors{block.Hours6: testDay}, nil)
	for name, e := range map[string]Edit{
		"add":    {Add: []block.Info{{Meta: block.Meta{Key: block.Hours6.KeyAt(testDay, block.L2)}}}},
		"cover":  {Cover: []Coverage{{CoverKey: day}}},
		"remove": {Uncover: []CoverKey{day}},
		"floor":  {TierFloors: map[block.Tier]int64{block.Hours6: testDay}},
		"rules":  {RuleLists: []RuleList{rules}},
	} {
		if v := (&record{Edit: e}).version(); v != versionCoarse {
			t.Errorf("%s: version %d", name, v)
		}
	}
	if v := (&record{Edit: Edit{Cover: []Coverage{{CoverKey: CoverKey{block.Hour, testDay}}}}}).version(); v != versionRollups {
		t.Errorf("version %d with hours", v)
	}
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	someEdits(t, m)
	mustApply(t, m, Edit{TierFloors: map[block.Tier]int64{block.Hours6: testDay}})
	for _, base := range CopyNames {
		if v := fileVersion(t, fsys, "d/"+base); v != versionCoarse {
			t.Errorf("%s has version %d", base, v)
		}
	}
}

// If there is no space for the snapshot in the new version, the edit is not appended
// to a file of the old one.
func TestManifestOfTheOldVersionTakesNoRollupsOnAFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	fsys := vfs.NewFault(mem)
	m := createManifest(t, fsys)
	before := mustApply(t, m, cutEdit(cutBlock(1, 4)))
	e := coverEdit(nil, cover(block.Minute, 3, "", 4))
	full := true
	fsys.SetHook(func(o vfs.Op) error {
		if full && o.Kind == vfs.OpCreate {
			return syscall.ENOSPC
		}
		return nil
	})
	if _, err := m.Apply(e); !isNoSpace(err) {
		t.Fatal(err)
	}
	sameState(t, "after a full disk", m.State(), before)
	full = false
	want := mustApply(t, m, e)
	got, _, err := Read(mem, "d")
	must(t, err)
	sameState(t, "read", got, want)
}

func TestManifestOfRollupsDescribedIsGolden(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	rollupEdits(t, m)
	must(t, m.Close())
	var out bytes.Buffer
	must(t, Describe(&out, fsys, "d/MANIFEST"))
	m, err := Open(fsys, "d", 0)
	must(t, err)
	must(t, m.Close())
	out.WriteString("\nthe same as a snapshot\n\n")
	must(t, Describe(&out, fsys, "d/MANIFEST"))
	golden := filepath.Join("testdata", "rollups.txt")
	if *update {
		must(t, os.WriteFile(golden, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if out.String() != string(want) {
		t.Errorf("the format changed (-update rewrites the golden file):\n%s", out.String())
	}
}

func TestStateOfASnapshotWithRollupsIsTheState(t *testing.T) {
	s := rollupEdits(t, createManifest(t, vfs.NewMem()))
	r := snapshotOf(s)
	decoded, err := decodeRecord(appendRecord(nil, &r))
	must(t, err)
	decoded.Number = s.Number
	if got := decoded.state(); !reflect.DeepEqual(got, s) {
		t.Errorf("got\n%+v\nwant\n%+v", got, s)
	}
}

func TestStateIsNotChangedByLaterEdits(t *testing.T) {
	r := newRolledState(t)
	before := snapshotOf(r.State)
	want := appendRecord(nil, &before)
	e := coverEdit(nil, cover(block.Minutes5, 0, "", 4, r.day0))
	e.Uncover = []CoverKey{{block.Minute, testDay}}
	e.TierFloors = map[block.Tier]int64{block.Minute: testDay}
	r.Apply(e)
	after := snapshotOf(r.State)
	if !bytes.Equal(appendRecord(nil, &after), want) {
		t.Error("an edit changed the state before it")
	}
}
