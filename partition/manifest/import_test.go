package manifest

import (
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// An import becomes L2s of a day only where nothing could meet its samples: each
// obstacle refuses the edit, and each neighbour of an obstacle does not.
func TestCheckEditOfImport(t *testing.T) {
	keys := KeyRange{First: "f", Last: "g"}
	day := testDay + 2*model.DayMs
	for _, c := range []struct {
		name   string
		blocks string // day 2 is that of the import
		change func(s *State, b *block.Info)
		want   string // in the error; empty if there is none
	}{
		{name: "an empty database"},
		{name: "blocks of other days", blocks: "L2:1-4@0,keys:a-z L1:5-6@1 L0:9-9"},
		{name: "an L2 of other series", blocks: "L2:1-4@2,keys:a-e"},
		{name: "an L2 of the series", blocks: "L2:1-4@2,keys:a-f", want: "may hold older"},
		{name: "an L1 of the day", blocks: "L1:5-6@2", want: "may hold older"},
		{name: "an L0 of the time", blocks: "L0:9-9", change: func(s *State, _ *block.Info) {
			for name, l := range s.Blocks {
				l.MinTime, l.MaxTime = testDay, day+model.DayMs
				s.Blocks[name] = l
			}
		}, want: "may hold older"},
		{name: "a rollup of the day", change: func(s *State, _ *block.Info) {
			k := CoverKey{block.Hour, day}
			s.Coverage[k] = Coverage{CoverKey: k, Gen: 1}
		}, want: "is rolled up"},
		{name: "a rollup of another day", change: func(s *State, _ *block.Info) {
			k := CoverKey{block.Hour, day + model.DayMs}
			s.Coverage[k] = Coverage{CoverKey: k, Gen: 1}
		}},
		{name: "a deletion of the time", change: func(s *State, _ *block.Info) {
			d := testTombstone(1, 13)
			d.Range = model.Inclusive(day, day)
			s.Tombstones = []Tombstone{d}
		}, want: "deletion 1"},
		{name: "an older deletion", change: func(s *State, _ *block.Info) {
			d := testTombstone(1, 12)
			d.Range = model.Inclusive(day, day)
			s.Tombstones = []Tombstone{d}
		}},
		{name: "a generation that is too new", blocks: "L0:9-9", change: func(_ *State, b *block.Info) { b.MinGen, b.MaxGen = 9, 9 }, want: "which may have 8"},
		{name: "an L1", change: func(_ *State, b *block.Info) { b.Level = block.L1 }, want: "import of level L1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewState(1, 0)
			if c.blocks != "" {
				for _, b := range listedBlocks(t, c.blocks) {
					b.Series, b.Samples, b.MaxTime = 1, 1, b.MinTime
					s.Blocks[b.Name] = b
				}
			}
			s.WALLow = 13
			b := mergedBlock(block.L2, day, block.Info{Name: block.InputImport, Size: 500, Samples: 9, Meta: block.Meta{MinGen: 12, MaxGen: 12}})
			if strings.Contains(c.blocks, "L0:9") {
				b.MinGen, b.MaxGen = 8, 8
			}
			if c.change != nil {
				c.change(s, &b)
			}
			b.Name = block.FileName(b.Meta)
			err := CheckEdit(s, Edit{Add: []block.Info{b}, Keys: map[string]KeyRange{b.Name: keys}})
			if got := errorText(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
