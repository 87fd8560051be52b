package compaction_test

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/internal/storetest"
	"tsdb/partition/manifest"
)

// generationsOf returns the generation of every series, by its number, in the blocks of
// the partition that begins at day.
func generationsOf(t *testing.T, s *storetest.Store, day int64) map[int]uint64 {
	t.Helper()
	v := s.Set.Acquire()
	defer v.Release()
	gens := map[int]uint64{}
	for _, e := range v.Entries() {
		if e.Partition != day {
			continue
		}
		for ord := range uint32(e.Series) {
			se, err := e.Block().Series(ord)
			partitiontest.Must(t, err)
			gen, err := e.Block().Generation(ord)
			partitiontest.Must(t, err)
			gens[storetest.SeriesNumbers[se.ID]] = max(gens[storetest.SeriesNumbers[se.ID]], gen)
		}
	}
	return gens
}

// After a merge of late samples into an L2, only the series they belong to, or from
// which a deletion removed samples, have a newer generation there.
func TestMergeRaisesTheGenerationOfTouchedSeriesOnly(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	s.Opts.BlockSeries = 3
	finalL2(t, s, 0, 1, 2, 3, 4, 5, 6)
	day := partitiontest.TestDay
	first := s.M.State().HighGen
	for k, gen := range generationsOf(t, s, day) {
		if gen != first {
			t.Fatalf("series %d of one cut has generation %d, want %d", k, gen, first)
		}
	}
	// Series 3 gets late samples in the next day only, series 5 none that is new.
	partitiontest.Must(t, s.CutOf(storetest.Contents{1: storetest.Ticks(day+7_000, 15_000, 10, 5), 3: storetest.Ticks(day+model.DayMs, 15_000, 10, 5)}))
	second := s.M.State().HighGen
	partitiontest.Must(t, s.CutOf(storetest.Contents{5: storetest.Ticks(day, 15_000, 1, 5)}))
	third := s.M.State().HighGen
	partitiontest.Must(t, s.MergeAll())
	want := map[int]uint64{0: first, 1: second, 2: first, 3: first, 4: first, 5: third, 6: first}
	compare := func(what string) {
		t.Helper()
		got := generationsOf(t, s, day)
		for k, gen := range want {
			if got[k] != gen {
				t.Errorf("%s: series %d has generation %d, want %d", what, k, got[k], gen)
			}
		}
	}
	compare("late samples")
	if got := generationsOf(t, s, day+model.DayMs); got[3] != second {
		t.Errorf("generations %v of the next day, want %d", got, second)
	}

	// A deletion of the first samples of series 0, 3 and 6.
	tomb := manifest.Tombstone{ID: 1, Gen: s.NextGen(), Range: model.TimeRange{Min: day, Max: day + 100_000},
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_0_total")}}
	s.Maybe = []storetest.Contents{s.Want.Remove(tomb)}
	partitiontest.Must(t, s.Publish(manifest.Edit{AddTombstones: []manifest.Tombstone{tomb}, WALLow: partitiontest.Ptr(tomb.Gen + 1)}))
	s.Done()
	partitiontest.Must(t, s.MergeAll())
	want[0], want[3], want[6] = tomb.Gen, tomb.Gen, tomb.Gen
	compare("deletion")
	if got := generationsOf(t, s, day+model.DayMs); got[3] != second {
		t.Errorf("after a deletion of the day before: generations %v, want %d", got, second)
	}
	partitiontest.Must(t, s.Check())
}

// A block of a rollup is never an input of a merge of samples.
func TestMergeRefusesRollups(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	finalL2(t, s, 0)
	v := s.Set.Acquire()
	defer v.Release()
	e := v.Entries()[0]
	plan := compaction.Plan{Key: e.Key, Inputs: []block.Info{e.Info}, MinGen: e.MinGen, MaxGen: e.MaxGen}
	e.Tier = block.Hour
	defer func() { e.Tier = block.Raw }()
	if _, err := compaction.Merge(t.Context(), v, plan, nil, compaction.Options{}); err == nil {
		t.Error("merged")
	}
}
