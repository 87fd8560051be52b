package compaction_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/format"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/internal/storetest"
	"tsdb/partition/manifest"
)

// finalL2 makes an L2 of day-long series, each one full chunk.
func finalL2(t testing.TB, s *storetest.Store, series ...int) {
	t.Helper()
	c := storetest.Contents{}
	for _, k := range series {
		c[k] = storetest.Ticks(partitiontest.TestDay, 15_000, 5760, float64(1000*k))
	}
	partitiontest.Must(t, s.CutOf(c))
	partitiontest.Must(t, s.MergeAll())
	partitiontest.Must(t, s.Check())
}

func TestMergeCopiesChunksThatNothingTouches(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	finalL2(t, s, 0, 1, 2, 3)
	partitiontest.Must(t, s.CutOf(storetest.Contents{
		1: storetest.Ticks(partitiontest.TestDay+7_000, 15_000, 100, 5),           // between samples of the chunk
		2: storetest.Ticks(partitiontest.TestDay+86_399_000, 100, 5, 5),           // behind the last one
		4: storetest.Ticks(partitiontest.TestDay+86_000_000, 1000, 10, 5),         // a series of its own
		5: storetest.Ticks(partitiontest.TestDay+model.DayMs, 1000, 10, 5),        // a day of its own
		6: storetest.Ticks(partitiontest.TestDay-model.DayMs, model.HourMs, 3, 5), // few samples far apart
	}))
	if more, err := s.Merge(compaction.PlanFinal); !more || err != nil || s.Last.Add[0].Level != block.L1 {
		t.Fatalf("no L1: %v", err)
	}
	if s.Last.Copied != 5 || s.Last.Decoded != 0 {
		t.Errorf("one L0 to L1: %d chunks copied, %d decoded", s.Last.Copied, s.Last.Decoded)
	}
	copied, decoded := 0, 0
	for {
		more, err := s.Merge(compaction.PlanFinal)
		partitiontest.Must(t, err)
		if !more {
			break
		}
		copied, decoded = copied+s.Last.Copied, decoded+s.Last.Decoded
	}
	// Of the L2, series 0 and 3 stay as they are, series 2 because its chunk is
	// full; what comes from L1 gets the final codecs.
	if copied != 3 || decoded != 6 {
		t.Errorf("into L2: %d chunks copied, %d decoded", copied, decoded)
	}
	partitiontest.Must(t, s.Check())
}

// Of full chunks that have one sample in common, the last of one and the first of the other,
// none is copied: the newer value of the two counts, in either order of age.
func TestMergeDecodesChunksThatShareASample(t *testing.T) {
	const n = block.MaxChunkSamples/2 + 1
	for _, olderFirst := range []bool{true, false} {
		s := storetest.Open(t, vfs.NewMem())
		parts := []*model.Samples{storetest.Ticks(partitiontest.TestDay+1, 1000, n, 1), storetest.Ticks(partitiontest.TestDay+1+(n-1)*1000, 1000, n, 5e6)}
		if !olderFirst {
			slices.Reverse(parts)
		}
		for _, part := range parts {
			partitiontest.Must(t, s.CutOf(storetest.Contents{0: part}))
		}
		s.NowMs += 6 * model.HourMs
		if more, err := s.Merge(compaction.PlanMerge); !more || err != nil || s.Last.Add[0].Level != block.L1 {
			t.Fatalf("no L1: %v, %v", more, err)
		}
		if s.Last.Copied > 0 || s.Last.Decoded < 2 || s.Last.Add[0].Samples != 2*n-1 {
			t.Errorf("older first %v: %d chunks copied, %d decoded, %d samples", olderFirst, s.Last.Copied, s.Last.Decoded, s.Last.Add[0].Samples)
		}
		partitiontest.Must(t, s.Check())
	}
}

func TestMergeAppliesDeletionsToWhatItCouldCopy(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	finalL2(t, s, 0, 1, 3) // metrics 0, 1 and 0
	tomb := manifest.Tombstone{ID: 1, Gen: s.NextGen(), Range: model.TimeRange{Min: partitiontest.TestDay + 1, Max: partitiontest.TestDay + 100_000},
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_0_total")}}
	s.Maybe = []storetest.Contents{s.Want.Remove(tomb)}
	partitiontest.Must(t, s.Publish(manifest.Edit{AddTombstones: []manifest.Tombstone{tomb}, WALLow: partitiontest.Ptr(tomb.Gen + 1)}))
	s.Done()
	partitiontest.Must(t, s.Check())
	partitiontest.Must(t, s.MergeAll())
	if s.Last.Copied != 1 || s.Last.Decoded != 2 {
		t.Errorf("%d chunks copied, %d decoded", s.Last.Copied, s.Last.Decoded)
	}
	partitiontest.Must(t, s.Retire())
	if n := len(s.M.State().Tombstones); n != 0 {
		t.Errorf("%d tombstones are left", n)
	}
	partitiontest.Must(t, s.Check())
}

func TestMergeLeavesOutWhatLiesBelowTheFloor(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, model.DayMs/2, 4, 1), 1: storetest.Ticks(partitiontest.TestDay, 1, 4, 1)}))
	floor := partitiontest.TestDay + model.DayMs
	s.Maybe = []storetest.Contents{s.Want.Above(floor)}
	partitiontest.Must(t, s.Publish(manifest.Edit{Floor: &floor}))
	s.Done()
	partitiontest.Must(t, s.Check())
	partitiontest.Must(t, s.MergeAll())
	if len(s.Last.Add) != 1 || s.Last.Add[0].Samples != 2 || s.Last.Add[0].Series != 1 {
		t.Errorf("merged to %+v", s.Last.Add)
	}
	partitiontest.Must(t, s.Check())
}

func TestMergeWritesAnyNumberOfDays(t *testing.T) {
	var first [][]byte
	for _, outputs := range []int{32, 3, 1} {
		fsys := vfs.NewMem()
		s := storetest.Open(t, fsys)
		s.Opts.Outputs = outputs
		for range 3 {
			c := storetest.Contents{}
			for k := range storetest.SeriesMax {
				c[k] = storetest.Ticks(partitiontest.TestDay-int64(k%7)*model.DayMs, model.DayMs/3, 12, float64(k))
			}
			partitiontest.Must(t, s.CutOf(c))
		}
		partitiontest.Must(t, s.MergeAll())
		partitiontest.Must(t, s.Check())
		var files [][]byte
		for _, b := range s.M.State().Sorted() {
			data, err := partitiontest.ReadFile(fsys, path.Join("d", b.Name), 1<<30)
			partitiontest.Must(t, err)
			files = append(files, data)
		}
		if first == nil {
			first = files
		}
		if len(files) < 10 || !slices.EqualFunc(files, first, slices.Equal) {
			t.Errorf("%d at a time: other blocks than all at once", outputs)
		}
	}
}

func TestMergeSplitsL2ByBytesAndSeries(t *testing.T) {
	for _, o := range []compaction.Options{{BlockSeries: 3}, {BlockBytes: 1}} {
		s := storetest.Open(t, vfs.NewMem())
		s.Opts = o
		c := storetest.Contents{}
		for k := range 8 {
			c[k] = storetest.Ticks(partitiontest.TestDay, 1000, 10, 1)
		}
		partitiontest.Must(t, s.CutOf(c))
		partitiontest.Must(t, s.MergeAll())
		partitiontest.Must(t, s.Check())
		want := 8
		if o.BlockSeries > 0 {
			want = 3
		}
		if len(s.Last.Add) != want {
			t.Errorf("%+v: %d blocks", o, len(s.Last.Add))
		}
		// A late series between others goes into the one block that has its place.
		partitiontest.Must(t, s.CutOf(storetest.Contents{3: storetest.Ticks(partitiontest.TestDay+5, 1000, 2, 1)}))
		partitiontest.Must(t, s.MergeAll())
		partitiontest.Must(t, s.Check())
		if len(s.Last.Drop) != 2 {
			t.Errorf("%+v: a late series rewrites %q", o, s.Last.Drop)
		}
	}
}

func TestMergeSlicesLongSeries(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	const n = 5 * compaction.SliceSamples
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, 200, n, 0), 1: storetest.Ticks(partitiontest.TestDay, 1000, 10, 0)}))
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay+100, 400, n/2, 7)}))
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, model.DayMs/2-1, 2, 9)})) // one chunk over all
	partitiontest.Must(t, s.MergeAll())
	partitiontest.Must(t, s.Check())
}

func TestMergeOfL0sStaysL0(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	for i := range int64(compaction.L0Stuck + 1) {
		s.NowMs += model.HourMs / 2
		partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(s.NowMs-i, model.DayMs/4, 5, 1), 5: storetest.Ticks(s.NowMs, 1, 5, float64(i))}))
	}
	oldest := s.M.State().Sorted()[0].Name
	s.Set.Quarantine(oldest, errors.New("for the test"))
	more, err := s.Merge(compaction.PlanMerge)
	partitiontest.Must(t, err)
	if !more || len(s.Last.Add) != 1 || s.Last.Add[0].Level != block.L0 || len(s.Last.Drop) != compaction.L0Stuck {
		t.Fatalf("merged %+v", s.Last)
	}
	partitiontest.Must(t, s.Close()) // opened again the block is sound
	partitiontest.Must(t, s.Open())
	partitiontest.Must(t, s.Check())
}

// damageBlock changes a byte of the only block's columns, so that samples of
// some series, not of all, cannot be read, and returns those.
func damageBlock(t *testing.T, s *storetest.Store) (name string, lost []int) {
	t.Helper()
	name = s.M.State().Sorted()[0].Name
	partitiontest.Must(t, s.Close())
	data, err := partitiontest.ReadFile(s.Fs, path.Join("d", name), 1<<30)
	partitiontest.Must(t, err)
	data = slices.Clone(data)
	data[block.HeaderLen+len(data)/20] ^= 0x10
	partitiontest.Must(t, s.Fs.Remove(path.Join("d", name)))
	partitiontest.PutFile(t, s.Fs, path.Join("d", name), data)
	partitiontest.Must(t, s.Open())
	v := s.Set.Acquire()
	defer v.Release()
	b := v.Find(name).Block()
	for ord := range uint32(b.Info().Series) {
		var smp model.Samples
		if err := partitiontest.SamplesOf(context.Background(), b, ord, model.AllTime, &smp); errors.Is(err, format.ErrCorrupt) {
			e, err := b.Series(ord)
			partitiontest.Must(t, err)
			lost = append(lost, storetest.SeriesNumbers[e.ID])
		}
	}
	if len(lost) == 0 || len(lost) == int(b.Info().Series) {
		t.Fatalf("%d of %d series are damaged", len(lost), b.Info().Series)
	}
	return name, lost
}

// noisy returns an L2 whose chunks cannot be small: a column a series.
func noisyL2(t *testing.T, s *storetest.Store) {
	t.Helper()
	c := storetest.Contents{}
	for k := range 6 {
		c[k] = &model.Samples{}
		for i := range int64(1500) {
			c[k].Append(partitiontest.TestDay+10_000+i*15_000+int64(k), 0, s.Rnd.NormFloat64(), model.Histogram{})
		}
	}
	partitiontest.Must(t, s.CutOf(c))
	partitiontest.Must(t, s.MergeAll())
}

func TestMergeCarriesBadChunksAlong(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	noisyL2(t, s)
	_, lost := damageBlock(t, s)
	behind := storetest.Contents{}
	for k := range 6 {
		behind[k] = storetest.Ticks(partitiontest.TestDay+80_000_000, 1000, 20, 3)
		behind[k].AppendRange(storetest.Ticks(partitiontest.TestDay+model.DayMs, 1000, 20, 3), 0, 20)
	}
	partitiontest.Must(t, s.CutOf(behind))
	partitiontest.Must(t, s.MergeAll())
	v := s.Set.Acquire()
	defer v.Release()
	ctx := context.Background()
	got := storetest.Contents{}
	for _, e := range v.Entries() {
		if e.Level != block.L2 || e.Err() != nil {
			t.Errorf("%s: %v", e.Name, e.Err())
		}
		for ord := range uint32(e.Series) {
			se, err := e.Block().Series(ord)
			partitiontest.Must(t, err)
			k := storetest.SeriesNumbers[se.ID]
			if got[k] == nil {
				got[k] = &model.Samples{}
			}
			err = partitiontest.SamplesOf(ctx, e.Block(), ord, model.AllTime, got[k])
			bad := e.Partition == partitiontest.TestDay && slices.Contains(lost, k)
			if errors.Is(err, format.ErrCorrupt) != bad {
				t.Errorf("series %d in %s: %v", k, e.Name, err)
			}
		}
	}
	for _, k := range lost {
		s.Want[k] = behind[k]
	}
	if d := got.Diff(s.Want); d != "" {
		t.Error(d)
	}
}

func TestMergeRefusesBadChunksAmongOthers(t *testing.T) {
	fsys := vfs.NewMem()
	s := storetest.Open(t, fsys)
	noisyL2(t, s)
	name, lost := damageBlock(t, s)
	partitiontest.Must(t, s.CutOf(storetest.Contents{lost[0]: storetest.Ticks(partitiontest.TestDay+20_000, 15_000, 10, 3)}))
	if _, err := s.Merge(compaction.PlanFinal); err != nil {
		t.Fatal(err)
	}
	_, err := s.Merge(compaction.PlanFinal)
	var damage *format.DamageError
	if !errors.As(err, &damage) || damage.Path != name {
		t.Fatalf("merge of %s: %v", name, err)
	}
	s.Set.Quarantine(damage.Path, damage)
	if more, err := s.Merge(compaction.PlanFinal); more || err != nil {
		t.Errorf("a quarantined block is merged: %v", err)
	}
	partitiontest.Must(t, s.Sweep())
	files, err := block.ListKeys(context.Background(), objstore.NewDir(fsys, "d"))
	partitiontest.Must(t, err)
	if len(files) != 2 {
		t.Errorf("files %q", files)
	}
	v := s.Set.Acquire()
	defer v.Release()
	if errs := v.Quarantined(); len(errs) != 1 || !errors.Is(errs[0], blockset.ErrQuarantined) || !errors.Is(errs[0], format.ErrCorrupt) {
		t.Errorf("quarantined: %v", errs)
	}
}

func TestMergeLeavesNothingBehindWhenItFails(t *testing.T) {
	enough := errors.New("enough")
	for _, c := range []struct {
		name string
		run  func(s *storetest.Store, fault *vfs.Fault, cancel context.CancelFunc)
		want error
	}{
		{"yield", func(s *storetest.Store, _ *vfs.Fault, _ context.CancelFunc) {
			n := 0
			s.Opts.Yield = func(context.Context) error {
				if n++; n == 5 {
					return enough
				}
				return nil
			}
		}, enough},
		{"cancelled", func(s *storetest.Store, _ *vfs.Fault, cancel context.CancelFunc) {
			s.Opts.Yield = func(context.Context) error { cancel(); return nil }
		}, context.Canceled},
		{"disk full at the second block", func(_ *storetest.Store, fault *vfs.Fault, _ context.CancelFunc) {
			syncs := 0
			fault.SetHook(func(o vfs.Op) error {
				if o.Kind == vfs.OpSync {
					if syncs++; syncs == 2 {
						return syscall.ENOSPC
					}
				}
				return nil
			})
		}, syscall.ENOSPC},
		{"an input cannot be read", func(_ *storetest.Store, fault *vfs.Fault, _ context.CancelFunc) {
			fault.SetHook(func(o vfs.Op) error {
				if o.Kind == vfs.OpRead {
					return syscall.EIO
				}
				return nil
			})
		}, syscall.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			fault := vfs.NewFault(mem)
			s := storetest.Open(t, fault)
			for range 3 {
				add := storetest.Contents{}
				for k := range 10 {
					add[k] = storetest.Ticks(partitiontest.TestDay, model.DayMs/4, 20, 1)
				}
				partitiontest.Must(t, s.CutOf(add))
			}
			before, err := block.ListKeys(context.Background(), objstore.NewDir(mem, "d"))
			partitiontest.Must(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			c.run(s, fault, cancel)
			v := s.Set.Acquire()
			defer v.Release()
			plan, ok := compaction.PlanFinal(compaction.Candidates(v, nil), compaction.PlanOptions{FreeBytes: math.MaxUint64, WALLow: v.State().WALLow})
			if !ok {
				t.Fatal("nothing to merge")
			}
			if _, err := compaction.Merge(ctx, v, plan, nil, s.Opts); !errors.Is(err, c.want) {
				t.Fatalf("error %v", err)
			}
			fault.SetHook(nil)
			after, err := block.ListKeys(context.Background(), objstore.NewDir(mem, "d"))
			partitiontest.Must(t, err)
			if !slices.Equal(before, after) {
				t.Errorf("files %q, before %q", after, before)
			}
		})
	}
}

func TestMergeKeepsExemplarsAndTheNewestMetadata(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	for gen := range int64(4) { // the exemplar of a cut stands at the first sample
		partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay+10*gen, 1, 5, 1), 1: storetest.Ticks(partitiontest.TestDay+gen, model.DayMs, 2, 1)}))
	}
	partitiontest.Must(t, s.CutOf(storetest.Contents{3: storetest.Ticks(partitiontest.TestDay+5, 1, 1, 1)}))
	partitiontest.Must(t, s.MergeAll())
	v := s.Set.Acquire()
	defer v.Release()
	ex, notes := map[string]string{}, map[string]string{}
	for _, e := range v.Entries() {
		day := strings.TrimPrefix(e.Key.Dir(), format.RawDir)
		for ord := range uint32(e.Series) {
			se, err := e.Block().Series(ord)
			partitiontest.Must(t, err)
			es, err := e.Block().Exemplars(ord)
			partitiontest.Must(t, err)
			for _, x := range es {
				ex[fmt.Sprint(storetest.SeriesNumbers[se.ID], day)] += fmt.Sprint(" ", x.T-partitiontest.TestDay, "=", x.V)
			}
		}
		ms, err := e.Block().Metadata()
		partitiontest.Must(t, err)
		for _, m := range ms {
			notes[m.Metric+day] = m.Help
		}
	}
	if want := map[string]string{"0/2026-11-18": " 0=1 10=2 20=3 30=4", "1/2026-11-18": " 0=1 1=2 2=3 3=4", "3/2026-11-18": " 5=5"}; fmt.Sprint(ex) != fmt.Sprint(want) {
		t.Errorf("exemplars %v, want %v", ex, want)
	}
	if want := map[string]string{"metric_0_total/2026-11-18": "5", "metric_1_total/2026-11-18": "4", "metric_1_total/2026-11-19": "4"}; fmt.Sprint(notes) != fmt.Sprint(want) {
		t.Errorf("metadata %v, want %v", notes, want)
	}
}

func TestMergeWillNotOverwriteAFile(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	partitiontest.Must(t, s.Cut())
	v := s.Set.Acquire()
	defer v.Release()
	plan, _ := compaction.PlanFinal(compaction.Candidates(v, nil), compaction.PlanOptions{FreeBytes: math.MaxUint64, WALLow: v.State().WALLow})
	out, err := compaction.Merge(context.Background(), v, plan, nil, s.Opts)
	partitiontest.Must(t, err)
	again, err := compaction.Merge(context.Background(), v, plan, nil, s.Opts)
	partitiontest.Must(t, err)
	for _, name := range again.Names() {
		if slices.Contains(out.Names(), name) {
			t.Errorf("%s is written again, though an edit in doubt may name it", name)
		}
	}
	for _, name := range slices.Concat(out.Names(), again.Names()) {
		if _, err := s.Fs.Stat(path.Join("d", name)); err != nil {
			t.Errorf("the file that was there is gone: %v", err)
		}
	}
}
