package partition

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

func exists(fsys vfs.FS, name string) bool {
	_, err := fsys.Stat(path.Join("d", name))
	return err == nil
}

func TestFilesGoWithTheLastVersionAndTheEditNamed(t *testing.T) {
	fsys := vfs.NewMem()
	s := openStore(t, fsys)
	woken := 0
	s.set.o.Obsolete = func() { woken++ }
	must(t, s.cutOf(contents{0: ticks(testDay, 1, 5, 1)}))
	old := s.m.State().Sorted()[0].Name
	held := s.set.Acquire()
	other := held.Retain()
	must(t, s.mergeAll())
	must(t, s.sweep())
	if !exists(fsys, old) || woken != 0 {
		t.Fatalf("the file of a held block is there: %v, woken %d times", exists(fsys, old), woken)
	}
	held.Release()
	var smp model.Samples
	must(t, samplesOf(context.Background(), other.Find(old).Block(), 0, model.AllTime, &smp))
	if smp.Len() != 5 {
		t.Errorf("%d samples from a dropped block", smp.Len())
	}
	other.Release()
	if woken != 1 || s.set.Unswept() != 1 {
		t.Errorf("woken %d times, %d files to sweep", woken, s.set.Unswept())
	}
	no := errors.New("the WAL is poisoned")
	if _, err := s.set.Sweep(time.Now(), func(uint64) error { return no }); !errors.Is(err, no) || !exists(fsys, old) {
		t.Fatalf("sweep without the edit named: %v", err)
	}
	if _, recorded := s.m.State().Dropped[old]; !recorded {
		t.Error("the drop is not recorded")
	}
	var named uint64
	swept, err := s.set.Sweep(time.Now(), func(edit uint64) error {
		if !exists(fsys, old) {
			t.Error("removed before the edit was named")
		}
		named = edit
		return nil
	})
	must(t, err)
	if named != 2 || exists(fsys, old) || swept.Files != 1 || swept.Bytes == 0 || len(s.m.State().Dropped) != 0 {
		t.Errorf("edit %d named, file there %v, swept %+v, %d drops recorded", named, exists(fsys, old), swept, len(s.m.State().Dropped))
	}
}

func TestSweepTriesAgain(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	s := openStore(t, fault)
	must(t, s.cut())
	must(t, s.cut())
	must(t, s.mergeAll())
	n := s.set.Unswept()
	for _, kind := range []vfs.OpKind{vfs.OpRemove, vfs.OpStat} {
		fault.SetHook(func(o vfs.Op) error {
			if o.Kind == kind {
				return syscall.EIO
			}
			return nil
		})
		if err := s.sweep(); !errors.Is(err, syscall.EIO) || s.set.Unswept() != n || n == 0 {
			t.Errorf("%v fails: %v, %d of %d files to sweep", kind, err, s.set.Unswept(), n)
		}
	}
	fault.SetHook(nil)
	must(t, s.sweep())
	if s.set.Unswept() != 0 {
		t.Errorf("%d files to sweep", s.set.Unswept())
	}
}

// An edit fails on a full disk and is given up; its files go only after the
// MANIFEST has been made to say that it did not happen.
func TestDiscardedFilesGoOnceTheEditIsSettled(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	s := openStore(t, fault)
	must(t, s.cutOf(contents{0: ticks(testDay, 1, 5, 1)}))
	full := true
	fault.SetHook(func(o vfs.Op) error {
		if full && o.Kind == vfs.OpSync && strings.Contains(o.Name, ManifestName) {
			return syscall.ENOSPC
		}
		return nil
	})
	before := s.want
	if err := s.cutOf(contents{1: ticks(testDay, 1, 5, 1)}); !isNoSpace(err) { // discards the L0
		t.Fatal(err)
	}
	name := BlockName(BlockMeta{MinGen: 2, MaxGen: 2, Partition: NoPartition})
	if err := s.sweep(); !isNoSpace(err) || !exists(mem, name) {
		t.Errorf("sweep while in doubt: %v, file there %v", err, exists(mem, name))
	}
	full = false
	fault.Record(true)
	must(t, s.sweep())
	if log := fault.Transcript(); exists(mem, name) || strings.Index(log, "remove d/l0") < strings.Index(log, "rename d/MANIFEST.tmp") {
		t.Errorf("file there %v, after\n%s", exists(mem, name), log)
	}
	s.want, s.maybe = before, nil
	must(t, s.check())
}

func TestDiscardedFilesThatArePublishedAfterAllStay(t *testing.T) {
	fsys := vfs.NewMem()
	s := openStore(t, fsys)
	must(t, s.cut())
	v := s.set.Acquire()
	defer v.Release()
	plan, _ := PlanFinal(v.PlanBlocks(nil), PlanOptions{FreeBytes: 1 << 40, WALLow: v.State().WALLow})
	out, err := Merge(context.Background(), v, plan, nil, s.opts)
	must(t, err)
	s.set.Discard(out.Names()...)
	must(t, s.publish(out.Edit(1)))
	s.set.Discard(out.Names()...)
	must(t, s.sweep())
	for _, name := range out.Names() {
		if !exists(fsys, name) {
			t.Errorf("%s is gone", name)
		}
	}
	must(t, s.check())
}

func TestMissingAndDamagedBlocksAreQuarantinedInTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, fsys *vfs.Mem, name string)
		want   error
	}{
		{"missing", func(t *testing.T, fsys *vfs.Mem, name string) { must(t, fsys.Remove(name)) }, fs.ErrNotExist},
		{"cut short", func(t *testing.T, fsys *vfs.Mem, name string) {
			f, err := fsys.OpenReadWrite(name)
			must(t, err)
			must(t, f.Truncate(50))
			must(t, f.Close())
		}, ErrCorrupt},
		{"another block", func(t *testing.T, fsys *vfs.Mem, name string) {
			other := newTestStore(t, vfs.NewMem(), 9)
			must(t, other.open())
			must(t, other.cut())
			data, err := readFile(other.fs, "d/l0/000000000001-000000000001.tsb", 1<<30)
			must(t, err)
			must(t, other.close())
			putFile(t, fsys, name, data)
		}, ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := vfs.NewMem()
			s := openStore(t, fsys)
			must(t, s.cutOf(contents{0: ticks(testDay, 1, 5, 1)}))
			must(t, s.cutOf(contents{0: ticks(testDay+2, 1, 5, 1)}))
			must(t, s.close())
			c.damage(t, fsys, "d/l0/000000000002-000000000002.tsb")
			must(t, s.open())
			v := s.set.Acquire()
			defer v.Release()
			if errs := v.Quarantined(); len(errs) != 1 || !errors.Is(errs[0], c.want) || !errors.Is(errs[0], ErrQuarantined) {
				t.Fatalf("quarantined: %v", errs)
			}
			e := v.Entries()[1]
			if len(v.Entries()) != 2 || e.Block() != nil || e.Err() == nil || e.MinGen != 2 {
				t.Errorf("entries %+v", v.Entries())
			}
			for { // what is before it is merged, it stays
				more, err := s.merge(PlanFinal)
				must(t, err)
				if !more {
					break
				}
			}
			if _, listed := s.m.State().Blocks[e.Name]; !listed || len(s.m.State().Blocks) != 2 {
				t.Errorf("blocks %v", s.m.State().Blocks)
			}
			// Retention drops it like any other.
			s.nowMs += 60 * model.DayMs
			must(t, s.publish(Edit{Floor: ptr(testDay + model.DayMs), Drop: []string{e.Name}}))
		})
	}
}

func TestOpenSetFailsOnAnErrorThatSaysNothingOfTheBlock(t *testing.T) {
	mem := vfs.NewMem()
	s := openStore(t, mem)
	must(t, s.cut())
	must(t, s.cut())
	must(t, s.close())
	fault := vfs.NewFault(mem)
	m, err := OpenManifest(fault, "d", 0)
	must(t, err)
	fault.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpOpen && strings.Contains(o.Name, "0002.tsb") {
			return syscall.EMFILE
		}
		return nil
	})
	if _, err := OpenSet(fault, "d", m, SetOptions{}); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("too many open files: %v", err)
	}
	must(t, m.Close())
	if n := mem.OpenFiles(); n != 0 {
		t.Errorf("%d files are left open", n)
	}
	must(t, s.open())
}

func TestPublishRefusesABlockThatIsNotThere(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	before := s.m.State()
	if _, err := s.set.Publish(cutEdit(cutBlock(1, 1))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if s.m.State() != before {
		t.Error("the MANIFEST has the edit")
	}
}

// Readers hold versions, read and release them while edits are published.
func TestVersionsAreSafeForConcurrentReaders(t *testing.T) {
	fsys := vfs.NewMem()
	s := openStore(t, fsys)
	s.small = true
	done := make(chan struct{})
	var wg sync.WaitGroup
	for r := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(r), 1))
			for {
				select {
				case <-done:
					return
				default:
				}
				v := s.set.Acquire()
				for _, e := range v.Entries() {
					var smp model.Samples
					dead, err := e.Deletions(context.Background(), v.State().Tombstones)
					ord := uint32(rnd.IntN(int(e.Series)))
					err = errors.Join(err, samplesOf(context.Background(), e.Block(), ord, model.AllTime, &smp))
					dead.Ranges(ord, nil).Remove(&smp, 0)
					if err != nil {
						t.Error(err)
					}
				}
				v.Release()
			}
		})
	}
	for i := range 60 {
		if err := s.step(); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	close(done)
	wg.Wait()
	must(t, s.check())
}

func TestCleanUp(t *testing.T) {
	fsys := vfs.NewMem()
	s := openStore(t, fsys)
	must(t, s.cutOf(contents{0: ticks(testDay, 1, 5, 1)}))           // generation 1
	must(t, s.cutOf(contents{0: ticks(testDay, model.DayMs, 3, 1)})) // generation 2
	l0 := []string{"l0/000000000001-000000000001.tsb", "l0/000000000002-000000000002.tsb"}
	write := func(m BlockMeta) string {
		w, err := Create(fsys, "d", m, WriterOptions{})
		must(t, err)
		e := storeSeries(0)
		must(t, w.Series(e.Tenant, e.ID, e.Labels))
		must(t, w.Samples(ticks(testDay, 1, 5, 1)))
		info, err := w.Finish()
		must(t, err)
		return info.Name
	}
	l1 := func(inputs ...string) BlockMeta {
		return BlockMeta{Level: L1, MinGen: 1, MaxGen: 2, Partition: testDay, Inputs: inputs}
	}
	made := write(l1(l0...))
	strange := write(l1("l0/000000000001-000000000001.tsb", "l0/000000000008-000000000008.tsb"))
	inWAL := write(BlockMeta{Level: L0, MinGen: 3, MaxGen: 4, Partition: NoPartition})
	halfInWAL := write(BlockMeta{Level: L0, MinGen: 5, MaxGen: 6, Partition: NoPartition})
	tooOld := write(BlockMeta{Level: L0, MinGen: 0, MaxGen: 0, Partition: NoPartition})
	dropped := write(BlockMeta{Level: L0, MinGen: 7, MaxGen: 7, Partition: NoPartition})
	st := s.m.State().clone()
	st.Dropped[dropped] = struct{}{}
	s.m.state.Store(st)
	v := s.set.Acquire()
	v.state = st
	v.Release()
	putFile(t, fsys, "d/l0/000000000009-000000000009.tsb", []byte(blockMagic+"and then the power went"))
	putFile(t, fsys, "d/raw/2026-11-18/x.tmp", []byte("x"))
	putFile(t, fsys, "d/raw/2026-11-18/notes.txt", []byte("somebody's"))
	putFile(t, fsys, "d/lost+found/"+strings.ReplaceAll(halfInWAL, "/", "_"), []byte("from the last time"))
	must(t, fsys.MkdirAll("d/raw/2020-01-01"))

	left, err := s.set.CleanUp(func(lo, hi uint64) bool { return hi <= 5 })
	must(t, err)
	got := map[string]string{}
	for _, l := range left {
		got[l.Name] = l.MovedTo
		if l.Reason == "" || exists(fsys, l.Name) || l.MovedTo != "" && !exists(fsys, l.MovedTo) {
			t.Errorf("leftover %+v", l)
		}
	}
	want := map[string]string{
		made: "", inWAL: "", dropped: "", "l0/000000000009-000000000009.tsb": "", "raw/2026-11-18/x.tmp": "",
		strange:   LostFoundDir + "/" + strings.ReplaceAll(strange, "/", "_"),
		halfInWAL: LostFoundDir + "/" + strings.ReplaceAll(halfInWAL, "/", "_") + ".1",
		tooOld:    LostFoundDir + "/" + strings.ReplaceAll(tooOld, "/", "_"),
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if exists(fsys, "raw/2020-01-01") || !exists(fsys, "raw/2026-11-18/notes.txt") || !exists(fsys, l0[0]) {
		t.Error("an empty day is left, or something else is not")
	}
	left, err = s.set.CleanUp(func(lo, hi uint64) bool { return true })
	if len(left) != 0 || err != nil {
		t.Errorf("a second time: %v, %v", left, err)
	}
}

func TestRetentionTarget(t *testing.T) {
	for _, c := range []struct{ now, retention, want int64 }{
		{testDay + 5*model.HourMs, model.DayMs, testDay - model.DayMs},
		{testDay, model.DayMs, testDay - model.DayMs},
		{testDay - 1, model.DayMs, testDay - 2*model.DayMs},
		{testDay, 0, NoFloor},
		{testDay, -5, NoFloor},
		{0, math.MaxInt64, NoFloor},
		{-1 << 63, 1, NoFloor},
	} {
		if got := RetentionTarget(c.now, c.retention); got != c.want {
			t.Errorf("now %d, retention %d: %d, want %d", c.now, c.retention, got, c.want)
		}
	}
}

func TestPlanRetention(t *testing.T) {
	s := newState(1, 0)
	for _, b := range planSet(t, "L2:1-3@-3 L1:4-5@-3 L2:1-3@-2 L0:6-6@-3 L0:7-7@0") {
		s.Blocks[b.Name] = b.Listed
	}
	s.WALLow = 9
	gens := func(e Edit) string {
		var out []string
		for _, name := range e.Drop {
			b := s.Blocks[name]
			out = append(out, fmt.Sprintf("%v:%d-%d", b.Level, b.MinGen, b.MaxGen))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	day := func(n int64) int64 { return testDay + n*model.DayMs }
	if e, ok := PlanRetention(s, day(-2), 0); !ok || *e.Floor != day(-2) || gens(e) != "L0:6-6 L1:4-5 L2:1-3" {
		t.Errorf("edit %+v: %s", e, gens(e))
	}
	for _, refused := range []uint64{6, 9} {
		if e, ok := PlanRetention(s, day(-2), refused); ok {
			t.Errorf("not merged yet, or in the WAL: %+v", e)
		}
	}
	if _, ok := PlanRetention(s, day(-2), 5); !ok {
		t.Error("held back without reason")
	}
	s.Floor = day(-1)
	if e, ok := PlanRetention(s, day(-2), 0); !ok || e.Floor != nil || len(e.Drop) != 4 {
		t.Errorf("the floor goes back, or blocks below it stay: %+v", e)
	}
	if _, ok := PlanRetention(newState(1, 0), NoFloor, 0); ok {
		t.Error("nothing to do, and yet an edit")
	}
}

func TestSpentTombstones(t *testing.T) {
	s := newState(1, 0)
	for _, b := range planSet(t, "L2:1-3@0 L1:4-9@0 L2:1-20@1") {
		s.Blocks[b.Name] = b.Listed
	}
	s.WALLow = 30
	for i, gen := range []uint64{3, 4, 9, 10, 29, 30} {
		s.Tombstones = append(s.Tombstones, testTombstone(uint64(i+1), gen))
	}
	late := testTombstone(7, 10)
	late.Range = model.TimeRange{Min: testDay + model.DayMs, Max: testDay + 2*model.DayMs}
	s.Tombstones = append(s.Tombstones, late)
	if got := fmt.Sprint(SpentTombstones(s, nil)); got != "[1 7]" {
		t.Errorf("spent %v", got)
	}
	never := func(*Tombstone, string) bool { return false }
	if got := fmt.Sprint(SpentTombstones(s, never)); got != "[1 2 3 4 5 7]" {
		t.Errorf("spent if they concern nothing: %v", got)
	}
}

// Sets of ranges against a set of milliseconds.
func TestDeletedRangesAreTheirUnion(t *testing.T) {
	rnd := newRand(t)
	for range 2000 {
		var d DeletedRanges
		var in [64]bool
		for range rnd.IntN(8) {
			r := model.TimeRange{Min: int64(rnd.IntN(64)), Max: int64(rnd.IntN(64))}
			d = d.Add(r)
			for i := r.Min; i < r.Max; i++ {
				in[i] = true
			}
		}
		var s, want model.Samples
		skip := rnd.IntN(3)
		for i := range in {
			if d.Contains(int64(i)) != in[i] {
				t.Fatalf("%v contains %d: %v", d, i, !in[i])
			}
			if rnd.IntN(2) > 0 {
				continue
			}
			st := int64(rnd.IntN(2) * rnd.IntN(9))
			if s.Len() < skip || !in[i] {
				want.Append(int64(i), st, float64(i), model.Histogram{})
			}
			s.Append(int64(i), st, float64(i), model.Histogram{})
		}
		for i := 1; i < len(d); i++ {
			if d[i].Min <= d[i-1].Max {
				t.Fatalf("%v is not disjoint and rising", d)
			}
		}
		r := model.TimeRange{Min: int64(rnd.IntN(64)), Max: int64(rnd.IntN(64))}
		overlaps, covers := false, !r.Empty()
		for i := r.Min; i < r.Max; i++ {
			overlaps, covers = overlaps || in[i], covers && in[i]
		}
		if d.Overlaps(r) != overlaps || !r.Empty() && d.Covers(r) != covers {
			t.Fatalf("%v with %v: overlaps %v, covers %v", d, r, !overlaps, !covers)
		}
		d.Remove(&s, min(skip, s.Len()))
		if d := diffSamples(&s, &want); d != "" {
			t.Fatal(d)
		}
	}
}
