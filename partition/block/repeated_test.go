package block

import (
	"bytes"
	"testing"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// A footer repeats as many of the newest tombstones as have room, and says if some are
// left out.
func TestFootersRepeatABoundedNumberOfTombstones(t *testing.T) {
	large := bytes.Repeat([]byte{1}, MaxRepeatedTombstones-10)
	for _, c := range []struct {
		name    string
		all     [][]byte
		want    int
		leftOut bool
	}{
		{"none", nil, 0, false},
		{"all", [][]byte{{1}, large, make([]byte, 9)}, 3, false},
		{"the newest", [][]byte{{1}, large, make([]byte, 10)}, 2, true},
		{"but the one that is too large", [][]byte{{1}, append(large, large...), {2}}, 2, true},
	} {
		m := smallBlock(L2)
		m.repeated = Repeated{Seed: 3, Tombstones: c.all}
		fs := vfs.NewMem()
		b := openTest(t, fs, m.write(t, fs, "data", 1000), nil)
		got := b.Repeated()
		if len(got.Tombstones) != c.want || got.LeftOut != c.leftOut || got.Seed != 3 {
			t.Errorf("%s: %d tombstones, others left out %v", c.name, len(got.Tombstones), got.LeftOut)
		}
		if c.want > 0 && !bytes.Equal(got.Tombstones[c.want-1], c.all[len(c.all)-1]) {
			t.Errorf("%s: the newest is missing", c.name)
		}
	}
}

// Retention rules have a bound of their own.
func TestFootersRepeatABoundedNumberOfRules(t *testing.T) {
	large := bytes.Repeat([]byte{1}, MaxRepeatedRules-10)
	for _, c := range []struct {
		name    string
		all     [][]byte
		want    int
		leftOut bool
	}{
		{"none", nil, 0, false},
		{"all", [][]byte{{1}, large, make([]byte, 9)}, 3, false},
		{"the newest", [][]byte{{1}, large, make([]byte, 10)}, 2, true},
	} {
		m := smallBlock(L2)
		m.repeated = Repeated{Seed: 3, Tombstones: [][]byte{make([]byte, MaxRepeatedTombstones)}, Edit: 9, RuleLists: c.all}
		fs := vfs.NewMem()
		b := openTest(t, fs, m.write(t, fs, "data", 1000), nil)
		got := b.Repeated()
		if len(got.RuleLists) != c.want || got.RulesLeftOut != c.leftOut || got.Edit != 9 || len(got.Tombstones) != 1 || got.LeftOut {
			t.Errorf("%s: %d lists, others left out %v, edit %d, %d tombstones", c.name, len(got.RuleLists), got.RulesLeftOut, got.Edit, len(got.Tombstones))
		}
		if c.want > 0 && !bytes.Equal(got.RuleLists[c.want-1], c.all[len(c.all)-1]) {
			t.Errorf("%s: the newest is missing", c.name)
		}
	}
}

func TestTheWriterRefusesWhatNoFooterRepeats(t *testing.T) {
	for name, r := range map[string]Repeated{
		"floor of an unknown tier": {Floors: map[Tier]int64{7: 1}},
		"tombstone without bytes":  {Tombstones: [][]byte{{}}},
		"rules without bytes":      {Edit: 1, RuleLists: [][]byte{{}}},
		"rules of an unknown edit": {RuleLists: [][]byte{{1}}},
	} {
		if _, err := Create(objstore.NewDir(vfs.NewMem(), "data"), smallBlock(L1).meta, WriterOptions{Repeated: r}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
