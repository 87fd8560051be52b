package partition

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
	"tsdb/internal/vfs"
)

// openStore returns an empty store with default options.
func openStore(t testing.TB, fsys vfs.FS) *testStore {
	s := newTestStore(t, fsys, 1)
	s.opts = MergeOptions{}
	must(t, s.open())
	t.Cleanup(func() { must(t, s.close()) })
	return s
}

// ticks returns n samples from a time on, step apart, whose values follow from
// their times and v.
func ticks(from, step int64, n int, v float64) *model.Samples {
	s := &model.Samples{}
	for i := range int64(n) {
		s.Append(from+i*step, 0, v+float64(i%17), model.Histogram{})
	}
	return s
}

// finalL2 makes an L2 of day-long series, each one full chunk.
func finalL2(t testing.TB, s *testStore, series ...int) {
	t.Helper()
	c := contents{}
	for _, k := range series {
		c[k] = ticks(testDay, 15_000, 5760, float64(1000*k))
	}
	must(t, s.cutOf(c))
	must(t, s.mergeAll())
	must(t, s.check())
}

func TestMergeCopiesChunksThatNothingTouches(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	finalL2(t, s, 0, 1, 2, 3)
	must(t, s.cutOf(contents{
		1: ticks(testDay+7_000, 15_000, 100, 5),           // between samples of the chunk
		2: ticks(testDay+86_399_000, 100, 5, 5),           // behind the last one
		4: ticks(testDay+86_000_000, 1000, 10, 5),         // a series of its own
		5: ticks(testDay+model.DayMs, 1000, 10, 5),        // a day of its own
		6: ticks(testDay-model.DayMs, model.HourMs, 3, 5), // few samples far apart
	}))
	if more, err := s.merge(PlanFinal); !more || err != nil || s.last.Add[0].Level != L1 {
		t.Fatalf("no L1: %v", err)
	}
	if s.last.Copied != 5 || s.last.Decoded != 0 {
		t.Errorf("one L0 to L1: %d chunks copied, %d decoded", s.last.Copied, s.last.Decoded)
	}
	copied, decoded := 0, 0
	for {
		more, err := s.merge(PlanFinal)
		must(t, err)
		if !more {
			break
		}
		copied, decoded = copied+s.last.Copied, decoded+s.last.Decoded
	}
	// Of the L2, series 0 and 3 stay as they are, series 2 because its chunk is
	// full; what comes from L1 gets the final codecs.
	if copied != 3 || decoded != 6 {
		t.Errorf("into L2: %d chunks copied, %d decoded", copied, decoded)
	}
	must(t, s.check())
}

func TestMergeAppliesDeletionsToWhatItCouldCopy(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	finalL2(t, s, 0, 1, 3) // metrics 0, 1 and 0
	tomb := Tombstone{ID: 1, Gen: s.nextGen(), Range: model.TimeRange{Min: testDay + 1, Max: testDay + 100_000},
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_0_total")}}
	s.maybe = []contents{s.want.remove(tomb)}
	must(t, s.publish(Edit{AddTombstones: []Tombstone{tomb}, WALLow: ptr(tomb.Gen + 1)}))
	s.done()
	must(t, s.check())
	must(t, s.mergeAll())
	if s.last.Copied != 1 || s.last.Decoded != 2 {
		t.Errorf("%d chunks copied, %d decoded", s.last.Copied, s.last.Decoded)
	}
	must(t, s.retire())
	if n := len(s.m.State().Tombstones); n != 0 {
		t.Errorf("%d tombstones are left", n)
	}
	must(t, s.check())
}

func TestMergeLeavesOutWhatLiesBelowTheFloor(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	must(t, s.cutOf(contents{0: ticks(testDay, model.DayMs/2, 4, 1), 1: ticks(testDay, 1, 4, 1)}))
	floor := testDay + model.DayMs
	s.maybe = []contents{s.want.above(floor)}
	must(t, s.publish(Edit{Floor: &floor}))
	s.done()
	must(t, s.check())
	must(t, s.mergeAll())
	if len(s.last.Add) != 1 || s.last.Add[0].Samples != 2 || s.last.Add[0].Series != 1 {
		t.Errorf("merged to %+v", s.last.Add)
	}
	must(t, s.check())
}

func TestMergeWritesAnyNumberOfDays(t *testing.T) {
	var first [][]byte
	for _, outputs := range []int{32, 3, 1} {
		fsys := vfs.NewMem()
		s := openStore(t, fsys)
		s.opts.Outputs = outputs
		for range 3 {
			c := contents{}
			for k := range storeSeriesMax {
				c[k] = ticks(testDay-int64(k%7)*model.DayMs, model.DayMs/3, 12, float64(k))
			}
			must(t, s.cutOf(c))
		}
		must(t, s.mergeAll())
		must(t, s.check())
		var files [][]byte
		for _, b := range s.m.State().Sorted() {
			data, err := readFile(fsys, path.Join("d", b.Name), 1<<30)
			must(t, err)
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
	for _, o := range []MergeOptions{{BlockSeries: 3}, {BlockBytes: 1}} {
		s := openStore(t, vfs.NewMem())
		s.opts = o
		c := contents{}
		for k := range 8 {
			c[k] = ticks(testDay, 1000, 10, 1)
		}
		must(t, s.cutOf(c))
		must(t, s.mergeAll())
		must(t, s.check())
		want := 8
		if o.BlockSeries > 0 {
			want = 3
		}
		if len(s.last.Add) != want {
			t.Errorf("%+v: %d blocks", o, len(s.last.Add))
		}
		// A late series between others goes into the one block that has its place.
		must(t, s.cutOf(contents{3: ticks(testDay+5, 1000, 2, 1)}))
		must(t, s.mergeAll())
		must(t, s.check())
		if len(s.last.Drop) != 2 {
			t.Errorf("%+v: a late series rewrites %q", o, s.last.Drop)
		}
	}
}

func TestMergeSlicesLongSeries(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	const n = 5 * sliceSamples
	must(t, s.cutOf(contents{0: ticks(testDay, 200, n, 0), 1: ticks(testDay, 1000, 10, 0)}))
	must(t, s.cutOf(contents{0: ticks(testDay+100, 400, n/2, 7)}))
	must(t, s.cutOf(contents{0: ticks(testDay, model.DayMs/2-1, 2, 9)})) // one chunk over all
	must(t, s.mergeAll())
	must(t, s.check())
}

func TestMergeOfL0sStaysL0(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	for i := range int64(l0Stuck + 1) {
		s.nowMs += model.HourMs / 2
		must(t, s.cutOf(contents{0: ticks(s.nowMs-i, model.DayMs/4, 5, 1), 5: ticks(s.nowMs, 1, 5, float64(i))}))
	}
	oldest := s.m.State().Sorted()[0].Name
	s.set.Quarantine(oldest, errors.New("for the test"))
	more, err := s.merge(PlanMerge)
	must(t, err)
	if !more || len(s.last.Add) != 1 || s.last.Add[0].Level != L0 || len(s.last.Drop) != l0Stuck {
		t.Fatalf("merged %+v", s.last)
	}
	v := s.set.Acquire()
	defer v.Release()
	v.Find(oldest).bad.Store(nil) // it was sound
	must(t, s.check())
}

// damageBlock changes a byte of the only block's columns, so that samples of
// some series, not of all, cannot be read, and returns those.
func damageBlock(t *testing.T, s *testStore) (name string, lost []int) {
	t.Helper()
	name = s.m.State().Sorted()[0].Name
	must(t, s.close())
	data, err := readFile(s.fs, path.Join("d", name), 1<<30)
	must(t, err)
	data = slices.Clone(data)
	data[headerLen+len(data)/20] ^= 0x10
	must(t, s.fs.Remove(path.Join("d", name)))
	putFile(t, s.fs, path.Join("d", name), data)
	must(t, s.open())
	v := s.set.Acquire()
	defer v.Release()
	b := v.Find(name).Block()
	for ord := range uint32(b.Info().Series) {
		var smp model.Samples
		if err := samplesOf(context.Background(), b, ord, model.AllTime, &smp); errors.Is(err, ErrCorrupt) {
			e, err := b.Series(ord)
			must(t, err)
			lost = append(lost, seriesNumbers[e.ID])
		}
	}
	if len(lost) == 0 || len(lost) == int(b.Info().Series) {
		t.Fatalf("%d of %d series are damaged", len(lost), b.Info().Series)
	}
	return name, lost
}

// noisy returns an L2 whose chunks cannot be small: a column a series.
func noisyL2(t *testing.T, s *testStore) {
	t.Helper()
	c := contents{}
	for k := range 6 {
		c[k] = &model.Samples{}
		for i := range int64(1500) {
			c[k].Append(testDay+10_000+i*15_000+int64(k), 0, s.rnd.NormFloat64(), model.Histogram{})
		}
	}
	must(t, s.cutOf(c))
	must(t, s.mergeAll())
}

func TestMergeCarriesBadChunksAlong(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	noisyL2(t, s)
	_, lost := damageBlock(t, s)
	behind := contents{}
	for k := range 6 {
		behind[k] = ticks(testDay+80_000_000, 1000, 20, 3)
		behind[k].AppendRange(ticks(testDay+model.DayMs, 1000, 20, 3), 0, 20)
	}
	must(t, s.cutOf(behind))
	must(t, s.mergeAll())
	v := s.set.Acquire()
	defer v.Release()
	ctx := context.Background()
	got := contents{}
	for _, e := range v.Entries() {
		if e.Level != L2 || e.Err() != nil {
			t.Errorf("%s: %v", e.Name, e.Err())
		}
		for ord := range uint32(e.Series) {
			se, err := e.Block().Series(ord)
			must(t, err)
			k := seriesNumbers[se.ID]
			if got[k] == nil {
				got[k] = &model.Samples{}
			}
			err = samplesOf(ctx, e.Block(), ord, model.AllTime, got[k])
			bad := e.Partition == testDay && slices.Contains(lost, k)
			if errors.Is(err, ErrCorrupt) != bad {
				t.Errorf("series %d in %s: %v", k, e.Name, err)
			}
		}
	}
	for _, k := range lost {
		s.want[k] = behind[k]
	}
	if d := got.diff(s.want); d != "" {
		t.Error(d)
	}
}

func TestMergeRefusesBadChunksAmongOthers(t *testing.T) {
	fsys := vfs.NewMem()
	s := openStore(t, fsys)
	noisyL2(t, s)
	name, lost := damageBlock(t, s)
	must(t, s.cutOf(contents{lost[0]: ticks(testDay+20_000, 15_000, 10, 3)}))
	if _, err := s.merge(PlanFinal); err != nil {
		t.Fatal(err)
	}
	_, err := s.merge(PlanFinal)
	var damage *DamageError
	if !errors.As(err, &damage) || damage.Path != name {
		t.Fatalf("merge of %s: %v", name, err)
	}
	s.set.Quarantine(damage.Path, damage)
	if more, err := s.merge(PlanFinal); more || err != nil {
		t.Errorf("a quarantined block is merged: %v", err)
	}
	must(t, s.sweep())
	files, err := findBlockFiles(fsys, "d")
	must(t, err)
	if len(files) != 2 {
		t.Errorf("files %q", files)
	}
	v := s.set.Acquire()
	defer v.Release()
	if errs := v.Quarantined(); len(errs) != 1 || !errors.Is(errs[0], ErrQuarantined) || !errors.Is(errs[0], ErrCorrupt) {
		t.Errorf("quarantined: %v", errs)
	}
}

func TestMergeLeavesNothingBehindWhenItFails(t *testing.T) {
	enough := errors.New("enough")
	for _, c := range []struct {
		name string
		run  func(s *testStore, fault *vfs.Fault, cancel context.CancelFunc)
		want error
	}{
		{"yield", func(s *testStore, _ *vfs.Fault, _ context.CancelFunc) {
			n := 0
			s.opts.Yield = func(context.Context) error {
				if n++; n == 5 {
					return enough
				}
				return nil
			}
		}, enough},
		{"cancelled", func(s *testStore, _ *vfs.Fault, cancel context.CancelFunc) {
			s.opts.Yield = func(context.Context) error { cancel(); return nil }
		}, context.Canceled},
		{"disk full at the second block", func(_ *testStore, fault *vfs.Fault, _ context.CancelFunc) {
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
		{"an input cannot be read", func(_ *testStore, fault *vfs.Fault, _ context.CancelFunc) {
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
			s := openStore(t, fault)
			for range 3 {
				add := contents{}
				for k := range 10 {
					add[k] = ticks(testDay, model.DayMs/4, 20, 1)
				}
				must(t, s.cutOf(add))
			}
			before, err := findBlockFiles(mem, "d")
			must(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			c.run(s, fault, cancel)
			v := s.set.Acquire()
			defer v.Release()
			plan, ok := PlanFinal(v.PlanBlocks(nil), PlanOptions{FreeBytes: math.MaxUint64, WALLow: v.State().WALLow})
			if !ok {
				t.Fatal("nothing to merge")
			}
			if _, err := Merge(ctx, v, plan, nil, s.opts); !errors.Is(err, c.want) {
				t.Fatalf("error %v", err)
			}
			fault.SetHook(nil)
			after, err := findBlockFiles(mem, "d")
			must(t, err)
			if !slices.Equal(before, after) {
				t.Errorf("files %q, before %q", after, before)
			}
		})
	}
}

func TestMergeKeepsExemplarsAndTheNewestMetadata(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	for gen := range int64(4) { // the exemplar of a cut stands at the first sample
		must(t, s.cutOf(contents{0: ticks(testDay+10*gen, 1, 5, 1), 1: ticks(testDay+gen, model.DayMs, 2, 1)}))
	}
	must(t, s.cutOf(contents{3: ticks(testDay+5, 1, 1, 1)}))
	must(t, s.mergeAll())
	v := s.set.Acquire()
	defer v.Release()
	ex, notes := map[string]string{}, map[string]string{}
	for _, e := range v.Entries() {
		day := strings.TrimPrefix(PartitionDir(e.Partition), RawDir)
		for ord := range uint32(e.Series) {
			se, err := e.Block().Series(ord)
			must(t, err)
			es, err := e.Block().Exemplars(ord)
			must(t, err)
			for _, x := range es {
				ex[fmt.Sprint(seriesNumbers[se.ID], day)] += fmt.Sprint(" ", x.T-testDay, "=", x.V)
			}
		}
		ms, err := e.Block().Metadata()
		must(t, err)
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

func TestMergeBoundsExemplars(t *testing.T) {
	var es []model.Exemplar
	for i := range 10 {
		es = append(es, model.Exemplar{T: int64(i / 2), V: float64(i % 4 / 2)})
	}
	if got := compactExemplars(slices.Clone(es)); len(got) != 5 {
		t.Errorf("of ten, two equal each, %d are left", len(got))
	}
}

// Series are joined if their labels and their identities agree; labels alone
// that do mean that a block is not what it says.
func TestMergeComparesIdentityAndLabels(t *testing.T) {
	a, b := storeSeries(0), storeSeries(3)
	if c, err := compareSeries(a, a); c != 0 || err != nil {
		t.Errorf("equal series: %d, %v", c, err)
	}
	if c, err := compareSeries(a, b); c != Compare(a.Tenant, a.Labels, b.Tenant, b.Labels) || err != nil {
		t.Errorf("different series: %d, %v", c, err)
	}
	same := b
	same.ID = a.ID
	if c, err := compareSeries(a, same); c == 0 || err != nil {
		t.Errorf("same identity of other labels: %d, %v", c, err)
	}
	other := a
	other.ID.Lo++
	if _, err := compareSeries(a, other); err == nil {
		t.Error("other identity of the same labels: no error")
	}
}

func TestMergeWillNotOverwriteAFile(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	must(t, s.cut())
	v := s.set.Acquire()
	defer v.Release()
	plan, _ := PlanFinal(v.PlanBlocks(nil), PlanOptions{FreeBytes: math.MaxUint64, WALLow: v.State().WALLow})
	out, err := Merge(context.Background(), v, plan, nil, s.opts)
	must(t, err)
	again, err := Merge(context.Background(), v, plan, nil, s.opts)
	must(t, err)
	for _, name := range again.Names() {
		if slices.Contains(out.Names(), name) {
			t.Errorf("%s is written again, though an edit in doubt may name it", name)
		}
	}
	for _, name := range slices.Concat(out.Names(), again.Names()) {
		if _, err := s.fs.Stat(path.Join("d", name)); err != nil {
			t.Errorf("the file that was there is gone: %v", err)
		}
	}
}
