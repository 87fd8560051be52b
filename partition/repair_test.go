package partition

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"tsdb/internal/vfs"
)

// repairCase is a MANIFEST of which only some edits are left, and the files that
// are on disk.
type repairCase struct {
	base   *State
	later  []*record
	files  []BlockInfo
	broken []string // of those, the ones that cannot be read
	inLog  []uint64 // generations that the WAL holds whole
}

func (c repairCase) plan() *RepairPlan {
	in := &repairInput{
		copies:  []ManifestCopy{{Name: ManifestName, Err: corrupt("test")}, {Name: TwinName, Err: corrupt("test")}},
		salvage: &salvage{edits: map[uint64]*record{}, chains: []*State{c.base}},
		walEdit: 100, walGens: c.inLog, assumeNoDeletes: true,
		holds: func(lo, hi uint64) bool {
			for g := lo; g <= hi; g++ {
				if !slices.Contains(c.inLog, g) {
					return false
				}
			}
			return true
		},
	}
	for _, r := range c.later {
		in.salvage.edits[r.Number] = r
	}
	for _, b := range c.files {
		f := repairFile{BlockInfo: b}
		if b.Level != L0 {
			f.keys = KeyRange{First: "a", Last: "z"}
		}
		if slices.Contains(c.broken, b.Name) {
			f = repairFile{BlockInfo: BlockInfo{Name: b.Name}, err: corrupt("test")}
		}
		in.files = append(in.files, f)
	}
	slices.SortFunc(in.files, func(a, b repairFile) int { return strings.Compare(a.Name, b.Name) })
	return planRepair(in)
}

func stateOf(low uint64, blocks ...BlockInfo) *State {
	s := newState(1, 2)
	s.Number, s.WALLow = 10, low
	for _, b := range blocks {
		s.Blocks[b.Name] = Listed{BlockInfo: b, Keys: KeyRange{}}
		if b.Level != L0 {
			s.Blocks[b.Name] = Listed{BlockInfo: b, Keys: KeyRange{First: "a", Last: "z"}}
		}
	}
	return s
}

// Which blocks a plan lists, from where on the log is replayed, or why it
// refuses.
func TestRepairListsEveryBlockOnce(t *testing.T) {
	day2 := testDay + 86_400_000
	a, b, c := cutBlock(1, 1), cutBlock(2, 2), cutBlock(3, 4)
	ab := mergedBlock(L1, testDay, a, b)
	ab2 := mergedBlock(L1, day2, a, b)
	final := mergedBlock(L2, testDay, ab)
	known := stateOf(3, a, b)
	dropped := stateOf(3, ab, ab2)
	dropped.Dropped[a.Name], dropped.Dropped[b.Name] = struct{}{}, struct{}{}
	for name, tc := range map[string]struct {
		repairCase
		want    []BlockInfo
		low     uint64
		refused string
	}{
		"a merge that was not published":                  {repairCase{base: known, files: []BlockInfo{a, b, ab}}, []BlockInfo{a, b}, 3, ""},
		"a merge of which an input is gone":               {repairCase{base: known, files: []BlockInfo{b, ab, ab2}}, []BlockInfo{ab, ab2}, 3, ""},
		"a merge that an edit has published":              {repairCase{base: dropped, files: []BlockInfo{a, b, ab, ab2}}, []BlockInfo{ab, ab2}, 3, ""},
		"an input of an input":                            {repairCase{base: known, files: []BlockInfo{a, final, ab2}}, []BlockInfo{final, ab2}, 3, ""},
		"an input is left, its merge shows it was used":   {repairCase{base: known, files: []BlockInfo{a, b, final, ab2}}, []BlockInfo{final, ab2}, 3, ""},
		"a cut that the log holds":                        {repairCase{base: known, files: []BlockInfo{a, b, c}, inLog: []uint64{3, 4}}, []BlockInfo{a, b}, 3, ""},
		"a cut of which the log holds a part":             {repairCase{base: known, files: []BlockInfo{a, b, c}, inLog: []uint64{4}}, []BlockInfo{a, b, c}, 5, ""},
		"a cut below one that the log lacks":              {repairCase{base: known, files: []BlockInfo{a, b, c, cutBlock(5, 5)}, inLog: []uint64{3, 4}}, []BlockInfo{a, b, c, cutBlock(5, 5)}, 6, ""},
		"a listed block is missing":                       {repairCase{base: known, files: []BlockInfo{a}}, []BlockInfo{a, b}, 3, ""},
		"a listed block cannot be read":                   {repairCase{base: known, files: []BlockInfo{a, b}, broken: []string{b.Name}}, []BlockInfo{a, b}, 3, ""},
		"a generation of the log is nowhere":              {repairCase{base: known, files: []BlockInfo{a, b, cutBlock(5, 5)}, inLog: []uint64{4}}, nil, 0, "generation 4"},
		"an input cannot be read and the merge may count": {repairCase{base: known, files: []BlockInfo{a, b, ab}, broken: []string{b.Name}}, nil, 0, "cannot be read"},
		"cuts that overlap":                               {repairCase{base: known, files: []BlockInfo{a, b, cutBlock(2, 4)}}, nil, 0, "contradict"},
		"a later edit is intact": {repairCase{base: known, files: []BlockInfo{a, b, c},
			later: []*record{{Edit: Edit{Number: 50, Add: []BlockInfo{c}, WALLow: ptr(uint64(5))}}}, inLog: []uint64{3, 4}}, []BlockInfo{a, b, c}, 5, ""},
	} {
		p := tc.plan()
		if p.Refused != "" || tc.refused != "" {
			if tc.refused == "" || !strings.Contains(p.Refused, tc.refused) || p.state != nil {
				t.Errorf("%s: refused %q, want %q", name, p.Refused, tc.refused)
			}
			continue
		}
		var want []string
		for _, b := range tc.want {
			want = append(want, b.Name)
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(p.state.Blocks)); !slices.Equal(got, want) || p.state.WALLow != tc.low {
			t.Errorf("%s: lists %q with the log from %d on, want %q, %d\n%s", name, got, p.state.WALLow, want, tc.low, strings.Join(p.Lines, "\n"))
		}
	}
}

// Lost edits that may have recorded deletions are not passed over in silence.
func TestRepairRefusesToReviveWhatWasDeleted(t *testing.T) {
	a := cutBlock(1, 1)
	in := func(last uint64, later ...*record) *rebuilding {
		return &rebuilding{in: &repairInput{walGens: []uint64{2}}}
	}
	cut := func(number, gen uint64) *record {
		return &record{Edit: Edit{Number: number, Add: []BlockInfo{cutBlock(gen, gen)}, WALLow: ptr(gen + 1)}}
	}
	base := stateOf(2, a)
	for name, c := range map[string]struct {
		later []*record
		last  uint64
		low   uint64
		want  bool
	}{
		"nothing is lost": {[]*record{cut(11, 2)}, 11, 3, true},
		"the next cut begins where the last one ends": {[]*record{cut(12, 2)}, 12, 3, true},
		"a cut may lie between":                       {[]*record{cut(12, 3)}, 12, 4, false},
		"the end is lost, the log has it":             {nil, 12, 2, true},
		"the end is lost, the log has moved on":       {nil, 12, 3, false},
	} {
		if got := in(c.last).deletionsKnown(base, c.later, c.last, c.low); got != c.want {
			t.Errorf("%s: deletions known: %v", name, got)
		}
	}
	// Deletions that a later edit drops are kept: what they covered may be back.
	r := rebuilding{in: &repairInput{}, known: base.clone(), published: map[string]bool{}}
	r.known.Tombstones = []Tombstone{testTombstone(1, 2)}
	r.applyKnown([]*record{{Edit: Edit{Number: 12, DropTombstones: []uint64{1}, AddTombstones: []Tombstone{testTombstone(1, 2), testTombstone(2, 3)}}}})
	if n := len(r.known.Tombstones); n != 2 {
		t.Errorf("%d tombstones", n)
	}
}

// Each byte of both copies is damaged, in two different places: everything is
// found again.
func TestSalvageCombinesTwoCopies(t *testing.T) {
	whole, want := twoCopies(t)
	a, b := whole[ManifestName], whole[TwinName]
	for i := range a {
		x, y := bytes.Clone(a), bytes.Clone(b)
		x[i] ^= 0x55
		y[(i*7+13)%len(y)] ^= 0x55
		if (i*7+13)%len(y) == i {
			continue
		}
		s := salvageManifest([][]byte{x, y})
		if len(s.chains) == 0 {
			t.Fatalf("damage at %d and %d: nothing found", i, (i*7+13)%len(y))
		}
		sameState(t, "salvaged", s.chains[0], want)
	}
}

func FuzzSalvage(f *testing.F) {
	fsys := vfs.NewMem()
	m, err := CreateManifest(fsys, "d", 1, 2)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range []Edit{cutEdit(cutBlock(1, 3)), cutEdit(cutBlock(4, 4))} {
		if _, err := m.Apply(e); err != nil {
			f.Fatal(err)
		}
	}
	b, err := readFile(fsys, "d/MANIFEST", maxManifestBytes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, b)
	f.Add(b[20:], b[:len(b)-5])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s := salvageManifest([][]byte{a, b})
		for _, c := range s.chains {
			if c.Number > s.highest {
				t.Fatalf("state %d, highest edit %d", c.Number, s.highest)
			}
		}
		planRepair(&repairInput{
			copies:  []ManifestCopy{{Name: ManifestName, Err: corrupt("test")}, {Name: TwinName, Err: corrupt("test")}},
			salvage: s, holds: func(uint64, uint64) bool { return false },
		})
	})
}
