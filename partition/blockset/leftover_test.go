package blockset_test

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/internal/storetest"
	"tsdb/partition/manifest"
)

// A rollup that no edit lists is deleted if nothing is lost with it, and otherwise set
// aside.
func TestLeftoversOfRollups(t *testing.T) {
	day := partitiontest.TestDay
	must := partitiontest.Must
	for _, c := range []struct {
		name   string
		change func(t *testing.T, s *storetest.Store) // made before the leftover is written; nil = none
		from   int64                                  // first day of the leftover
		days   uint32
		other  bool // its sources are not listed
		reason string
		moved  bool
	}{
		{name: "its sources are listed", days: 1, reason: "not published"},
		{name: "raw blocks of its days are there", days: 1, other: true, reason: "not published"},
		{name: "of all days but one", from: -1, days: 3, other: true, reason: "days without other data", moved: true},
		{name: "of all days, or they are covered", days: 2, other: true, reason: "not published", change: func(t *testing.T, s *storetest.Store) {
			must(t, s.RollUp())
			retire(t, s, day+model.DayMs)
		}},
		{name: "nothing of its days is left", days: 1, other: true, reason: "days without other data", moved: true, change: func(t *testing.T, s *storetest.Store) {
			retire(t, s, day+model.DayMs)
		}},
		{name: "samples have left that were its source", days: 1, reason: "days without other data", moved: true, change: func(t *testing.T, s *storetest.Store) {
			retire(t, s, day+model.DayMs)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := vfs.NewMem()
			s := storetest.New(t, fsys, 1)
			must(t, s.Open())
			must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(day, model.DayMs, 2, 1)})) // of two days
			must(t, s.MergeAll())
			source := s.M.State().RawBlocks()[0].Name
			if c.other {
				source = "raw/2020-01-01/l2-000000000001-000000000001-000-00000000.tsb"
			}
			if c.change != nil {
				c.change(t, s)
			}
			must(t, s.Close())
			left := writeRollup(t, fsys, day+c.from*model.DayMs, c.days, source)

			m, err := manifest.Open(fsys, "d", 0)
			must(t, err)
			set, err := blockset.Open(objstore.NewDir(fsys, "d"), m, blockset.Options{})
			must(t, err)
			defer func() { must(t, set.Close()); must(t, m.Close()) }()
			found, err := set.CleanUp(func(lo, hi uint64) bool { return true })
			must(t, err)
			var l blockset.Leftover
			for _, f := range found {
				if f.Name == left {
					l = f
				}
			}
			if (l.MovedTo != "") != c.moved || !strings.Contains(l.Reason, c.reason) || l.Err != nil || exists(fsys, left) {
				t.Errorf("%+v of %d, want moved %v, %q", l, len(found), c.moved, c.reason)
			}
			if c.moved && !exists(fsys, l.MovedTo) {
				t.Errorf("%s is not there", l.MovedTo)
			}
		})
	}
}

// retire moves the floor of samples and drops the raw blocks below it, whether or not
// they are rolled up.
func retire(t *testing.T, s *storetest.Store, floor int64) {
	t.Helper()
	e := manifest.Edit{Floor: &floor}
	for _, b := range s.M.State().RawBlocks() {
		if b.MaxTime < floor {
			e.Drop = append(e.Drop, b.Name)
		}
	}
	partitiontest.Must(t, s.Publish(e))
	partitiontest.Must(t, s.Sweep())
}

func writeRollup(t *testing.T, fsys vfs.FS, day int64, days uint32, source string) string {
	t.Helper()
	must := partitiontest.Must
	m := block.Meta{Key: block.Hour.KeyAt(day, block.L2), MinGen: 1, MaxGen: 1, Days: days, Sources: []string{source}, Tombstone: 77}
	w, err := block.Create(objstore.NewDir(fsys, "d"), m, block.WriterOptions{})
	must(t, err)
	ls := labels.FromStrings("__name__", "m")
	id, _ := model.IdentityOf(partitiontest.IDSeed, 0, ls, nil)
	must(t, w.Series(0, id, ls))
	var b model.Buckets
	b.AppendSample(m.Partition-1+m.Tier.Ms(), 1)
	b.Flags[0] = 0 // a row of a bucket
	must(t, w.Buckets(&b))
	info, err := w.Finish()
	must(t, err)
	return info.Name
}
