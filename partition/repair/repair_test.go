package repair

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// repairCase is a MANIFEST of which only some edits are left, and the files that
// are on disk.
type repairCase struct {
	base   *manifest.State
	later  []*manifest.Edit
	files  []block.Info
	broken []string // of those, the ones that are damaged
	unread []string // of those, the ones that reading failed
	inLog  []uint64 // generations that the WAL holds whole
}

func (c repairCase) plan() *Plan {
	in := &repairInput{
		copies:  []manifest.Copy{{Name: format.ManifestName, Err: format.Corrupt("test")}, {Name: format.TwinName, Err: format.Corrupt("test")}},
		salvage: &manifest.Salvaged{Edits: map[uint64]*manifest.Edit{}, Chains: []*manifest.State{c.base}},
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
		in.salvage.Edits[r.Number] = r
	}
	for _, b := range c.files {
		f := repairFile{Info: b}
		if b.Level != block.L0 {
			f.keys = manifest.KeyRange{First: "a", Last: "z"}
		}
		for day := b.Partition; b.Tier != block.Raw && day < b.Span().Max; day += model.DayMs {
			f.days = append(f.days, day)
		}
		if slices.Contains(c.broken, b.Name) {
			f = repairFile{Info: block.Info{Name: b.Name}, err: format.Corrupt("test")}
		}
		if slices.Contains(c.unread, b.Name) {
			f = repairFile{Info: block.Info{Name: b.Name}, err: fmt.Errorf("read: %w", syscall.EIO)}
		}
		in.files = append(in.files, f)
	}
	slices.SortFunc(in.files, func(a, b repairFile) int { return strings.Compare(a.Name, b.Name) })
	return planRepair(in)
}

func stateOf(low uint64, blocks ...block.Info) *manifest.State {
	s := manifest.NewState(1, 2)
	s.Number, s.WALLow = 10, low
	for _, b := range blocks {
		s.Blocks[b.Name] = manifest.Listed{Info: b, Keys: manifest.KeyRange{}}
		if b.Level != block.L0 {
			s.Blocks[b.Name] = manifest.Listed{Info: b, Keys: manifest.KeyRange{First: "a", Last: "z"}}
		}
	}
	return s
}

// Which blocks a plan lists, from where on the log is replayed, or why it
// refuses.
func TestRepairListsEveryBlockOnce(t *testing.T) {
	day2 := partitiontest.TestDay + 86_400_000
	a, b, c := partitiontest.CutBlock(1, 1), partitiontest.CutBlock(2, 2), partitiontest.CutBlock(3, 4)
	ab := partitiontest.MergedBlock(block.L1, partitiontest.TestDay, a, b)
	ab2 := partitiontest.MergedBlock(block.L1, day2, a, b)
	final := partitiontest.MergedBlock(block.L2, partitiontest.TestDay, ab)
	known := stateOf(3, a, b)
	dropped := stateOf(3, ab, ab2)
	dropped.Dropped[a.Name], dropped.Dropped[b.Name] = struct{}{}, struct{}{}
	for name, tc := range map[string]struct {
		repairCase
		want    []block.Info
		low     uint64
		refused string
	}{
		"a merge that was not published":                  {repairCase{base: known, files: []block.Info{a, b, ab}}, []block.Info{a, b}, 3, ""},
		"a merge of which an input is gone":               {repairCase{base: known, files: []block.Info{b, ab, ab2}}, []block.Info{ab, ab2}, 3, ""},
		"a merge that an edit has published":              {repairCase{base: dropped, files: []block.Info{a, b, ab, ab2}}, []block.Info{ab, ab2}, 3, ""},
		"an input of an input":                            {repairCase{base: known, files: []block.Info{a, final, ab2}}, []block.Info{final, ab2}, 3, ""},
		"an input is left, its merge shows it was used":   {repairCase{base: known, files: []block.Info{a, b, final, ab2}}, []block.Info{final, ab2}, 3, ""},
		"a cut that the log holds":                        {repairCase{base: known, files: []block.Info{a, b, c}, inLog: []uint64{3, 4}}, []block.Info{a, b}, 3, ""},
		"a cut of which the log holds a part":             {repairCase{base: known, files: []block.Info{a, b, c}, inLog: []uint64{4}}, []block.Info{a, b, c}, 5, ""},
		"a cut below one that the log lacks":              {repairCase{base: known, files: []block.Info{a, b, c, partitiontest.CutBlock(5, 5)}, inLog: []uint64{3, 4}}, []block.Info{a, b, c, partitiontest.CutBlock(5, 5)}, 6, ""},
		"a listed block is missing":                       {repairCase{base: known, files: []block.Info{a}}, []block.Info{a, b}, 3, ""},
		"a listed block cannot be read":                   {repairCase{base: known, files: []block.Info{a, b}, broken: []string{b.Name}}, []block.Info{a, b}, 3, ""},
		"a generation of the log is nowhere":              {repairCase{base: known, files: []block.Info{a, b, partitiontest.CutBlock(5, 5)}, inLog: []uint64{4}}, nil, 0, "generation 4"},
		"an input cannot be read and the merge may count": {repairCase{base: known, files: []block.Info{a, b, ab}, broken: []string{b.Name}}, nil, 0, "cannot be read"},
		"a listed block cannot be read now":               {repairCase{base: known, files: []block.Info{a, b}, unread: []string{b.Name}}, []block.Info{a, b}, 3, ""},
		"an unknown block cannot be read now":             {repairCase{base: known, files: []block.Info{a, b, c}, unread: []string{c.Name}}, nil, 0, "cannot be read now"},
		"an unread block has been merged":                 {repairCase{base: dropped, files: []block.Info{a, b, ab, ab2}, unread: []string{a.Name}}, []block.Info{ab, ab2}, 3, ""},
		"an unknown block is damaged":                     {repairCase{base: known, files: []block.Info{a, b, c}, broken: []string{c.Name}, inLog: []uint64{3, 4}}, []block.Info{a, b}, 3, ""},
		"cuts that overlap":                               {repairCase{base: known, files: []block.Info{a, b, partitiontest.CutBlock(2, 4)}}, nil, 0, "contradict"},
		"a later edit is intact": {repairCase{base: known, files: []block.Info{a, b, c},
			later: []*manifest.Edit{{Number: 50, Add: []block.Info{c}, WALLow: partitiontest.Ptr(uint64(5))}}, inLog: []uint64{3, 4}}, []block.Info{a, b, c}, 5, ""},
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
	a := partitiontest.CutBlock(1, 1)
	in := func(last uint64, later ...*manifest.Edit) *rebuilding {
		return &rebuilding{in: &repairInput{walGens: []uint64{2}}}
	}
	cut := func(number, gen uint64) *manifest.Edit {
		return &manifest.Edit{Number: number, Add: []block.Info{partitiontest.CutBlock(gen, gen)}, WALLow: partitiontest.Ptr(gen + 1)}
	}
	base := stateOf(2, a)
	for name, c := range map[string]struct {
		later []*manifest.Edit
		last  uint64
		low   uint64
		want  bool
	}{
		"nothing is lost": {[]*manifest.Edit{cut(11, 2)}, 11, 3, true},
		"the next cut begins where the last one ends": {[]*manifest.Edit{cut(12, 2)}, 12, 3, true},
		"a cut may lie between":                       {[]*manifest.Edit{cut(12, 3)}, 12, 4, false},
		"the end is lost, the log has it":             {nil, 12, 2, true},
		"the end is lost, the log has moved on":       {nil, 12, 3, false},
	} {
		if got := in(c.last).deletionsKnown(base, c.later, c.last, c.low); got != c.want {
			t.Errorf("%s: deletions known: %v", name, got)
		}
	}
	// Deletions that a later edit drops are kept: what they covered may be back.
	r := rebuilding{in: &repairInput{}, known: base.Clone(), published: map[string]bool{}}
	r.known.Tombstones = []manifest.Tombstone{partitiontest.Tombstone(1, 2)}
	r.applyKnown([]*manifest.Edit{{Number: 12, DropTombstones: []uint64{1}, AddTombstones: []manifest.Tombstone{partitiontest.Tombstone(1, 2), partitiontest.Tombstone(2, 3)}}})
	if n := len(r.known.Tombstones); n != 2 {
		t.Errorf("%d tombstones", n)
	}
}

func FuzzSalvage(f *testing.F) {
	fsys := vfs.NewMem()
	m, err := manifest.Create(fsys, "d", 1, 2)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range []manifest.Edit{partitiontest.CutEdit(partitiontest.CutBlock(1, 3)), partitiontest.CutEdit(partitiontest.CutBlock(4, 4))} {
		if _, err := m.Apply(e); err != nil {
			f.Fatal(err)
		}
	}
	b, err := partitiontest.ReadFile(fsys, "d/MANIFEST", manifest.MaxManifestBytes)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, b)
	f.Add(b[20:], b[:len(b)-5])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s := manifest.Salvage([][]byte{a, b})
		for _, c := range s.Chains {
			if c.Number > s.Highest {
				t.Fatalf("state %d, highest edit %d", c.Number, s.Highest)
			}
		}
		planRepair(&repairInput{
			copies:  []manifest.Copy{{Name: format.ManifestName, Err: format.Corrupt("test")}, {Name: format.TwinName, Err: format.Corrupt("test")}},
			salvage: s, holds: func(uint64, uint64) bool { return false },
		})
	})
}
