package blockset_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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

func exists(fsys vfs.FS, name string) bool {
	_, err := fsys.Stat(path.Join("d", name))
	return err == nil
}

func TestFilesGoWithTheLastVersionAndTheEditNamed(t *testing.T) {
	fsys := vfs.NewMem()
	s := storetest.New(t, fsys, 1)
	woken := 0
	s.Obsolete = func() { woken++ }
	partitiontest.Must(t, s.Open())
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, 1, 5, 1)}))
	old := s.M.State().Sorted()[0].Name
	held := s.Set.Acquire()
	other := held.Retain()
	partitiontest.Must(t, s.MergeAll())
	partitiontest.Must(t, s.Sweep())
	if !exists(fsys, old) || woken != 0 {
		t.Fatalf("the file of a held block is there: %v, woken %d times", exists(fsys, old), woken)
	}
	held.Release()
	var smp model.Samples
	partitiontest.Must(t, partitiontest.SamplesOf(context.Background(), other.Find(old).Block(), 0, model.AllTime, &smp))
	if smp.Len() != 5 {
		t.Errorf("%d samples from a dropped block", smp.Len())
	}
	other.Release()
	if woken != 1 || s.Set.Unswept() != 1 {
		t.Errorf("woken %d times, %d files to sweep", woken, s.Set.Unswept())
	}
	no := errors.New("the WAL is poisoned")
	if _, err := s.Set.Sweep(context.Background(), time.Now(), func(uint64) error { return no }); !errors.Is(err, no) || !exists(fsys, old) {
		t.Fatalf("sweep without the edit named: %v", err)
	}
	if _, recorded := s.M.State().Dropped[old]; !recorded {
		t.Error("the drop is not recorded")
	}
	var named uint64
	swept, err := s.Set.Sweep(context.Background(), time.Now(), func(edit uint64) error {
		if !exists(fsys, old) {
			t.Error("removed before the edit was named")
		}
		named = edit
		return nil
	})
	partitiontest.Must(t, err)
	if named != 2 || exists(fsys, old) || swept.Blocks != 1 || swept.Bytes == 0 || len(s.M.State().Dropped) != 0 {
		t.Errorf("edit %d named, file there %v, swept %+v, %d drops recorded", named, exists(fsys, old), swept, len(s.M.State().Dropped))
	}
}

func TestSweepTriesAgain(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	s := storetest.Open(t, fault)
	partitiontest.Must(t, s.Cut())
	partitiontest.Must(t, s.Cut())
	partitiontest.Must(t, s.MergeAll())
	n := s.Set.Unswept()
	for _, kind := range []vfs.OpKind{vfs.OpRemove, vfs.OpSyncDir} {
		fault.SetHook(func(o vfs.Op) error {
			if o.Kind == kind {
				return syscall.EIO
			}
			return nil
		})
		if err := s.Sweep(); !errors.Is(err, syscall.EIO) || s.Set.Unswept() != n || n == 0 {
			t.Errorf("%v fails: %v, %d of %d files to sweep", kind, err, s.Set.Unswept(), n)
		}
	}
	fault.SetHook(nil)
	partitiontest.Must(t, s.Sweep())
	if s.Set.Unswept() != 0 {
		t.Errorf("%d files to sweep", s.Set.Unswept())
	}
}

// An edit fails on a full disk and is given up; its files go only after the
// MANIFEST has been made to say that it did not happen.
func TestDiscardedFilesGoOnceTheEditIsSettled(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	s := storetest.Open(t, fault)
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, 1, 5, 1)}))
	full := true
	fault.SetHook(func(o vfs.Op) error {
		if full && o.Kind == vfs.OpSync && strings.Contains(o.Name, format.ManifestName) {
			return syscall.ENOSPC
		}
		return nil
	})
	before := s.Want
	if err := s.CutOf(storetest.Contents{1: storetest.Ticks(partitiontest.TestDay, 1, 5, 1)}); !partitiontest.IsNoSpace(err) { // discards the L0
		t.Fatal(err)
	}
	name := block.FileName(block.Meta{Key: block.SpanningKey(block.L0), MinGen: 2, MaxGen: 2})
	if err := s.Sweep(); !partitiontest.IsNoSpace(err) || !exists(mem, name) {
		t.Errorf("sweep while in doubt: %v, file there %v", err, exists(mem, name))
	}
	full = false
	fault.Record(true)
	partitiontest.Must(t, s.Sweep())
	if log := fault.Transcript(); exists(mem, name) || strings.Index(log, "remove d/l0") < strings.Index(log, "rename d/MANIFEST.tmp") {
		t.Errorf("file there %v, after\n%s", exists(mem, name), log)
	}
	s.Want, s.Maybe = before, nil
	partitiontest.Must(t, s.Check())
}

func TestDiscardedFilesThatArePublishedAfterAllStay(t *testing.T) {
	fsys := vfs.NewMem()
	s := storetest.Open(t, fsys)
	partitiontest.Must(t, s.Cut())
	v := s.Set.Acquire()
	defer v.Release()
	plan, _ := compaction.PlanFinal(compaction.Candidates(v, nil), compaction.PlanOptions{FreeBytes: 1 << 40, WALLow: v.State().WALLow})
	out, err := compaction.Merge(context.Background(), v, plan, nil, s.Opts)
	partitiontest.Must(t, err)
	s.Set.Discard(out.Names()...)
	partitiontest.Must(t, s.Publish(out.Edit(1)))
	s.Set.Discard(out.Names()...)
	partitiontest.Must(t, s.Sweep())
	for _, name := range out.Names() {
		if !exists(fsys, name) {
			t.Errorf("%s is gone", name)
		}
	}
	partitiontest.Must(t, s.Check())
}

func TestMissingAndDamagedBlocksAreQuarantinedInTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, fsys *vfs.Mem, name string)
		want   error
	}{
		{"missing", func(t *testing.T, fsys *vfs.Mem, name string) { partitiontest.Must(t, fsys.Remove(name)) }, fs.ErrNotExist},
		{"cut short", func(t *testing.T, fsys *vfs.Mem, name string) {
			f, err := fsys.OpenReadWrite(name)
			partitiontest.Must(t, err)
			partitiontest.Must(t, f.Truncate(50))
			partitiontest.Must(t, f.Close())
		}, format.ErrCorrupt},
		{"another block", func(t *testing.T, fsys *vfs.Mem, name string) {
			other := storetest.New(t, vfs.NewMem(), 9)
			partitiontest.Must(t, other.Open())
			partitiontest.Must(t, other.Cut())
			data, err := partitiontest.ReadFile(other.Fs, "d/l0/000000000001-000000000001.tsb", 1<<30)
			partitiontest.Must(t, err)
			partitiontest.Must(t, other.Close())
			partitiontest.PutFile(t, fsys, name, data)
		}, format.ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := vfs.NewMem()
			s := storetest.Open(t, fsys)
			partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, 1, 5, 1)}))
			partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay+2, 1, 5, 1)}))
			partitiontest.Must(t, s.Close())
			c.damage(t, fsys, "d/l0/000000000002-000000000002.tsb")
			partitiontest.Must(t, s.Open())
			v := s.Set.Acquire()
			defer v.Release()
			if errs := v.Quarantined(); len(errs) != 1 || !errors.Is(errs[0], c.want) || !errors.Is(errs[0], blockset.ErrQuarantined) {
				t.Fatalf("quarantined: %v", errs)
			}
			e := v.Entries()[1]
			if len(v.Entries()) != 2 || e.Block() != nil || e.Err() == nil || e.MinGen != 2 {
				t.Errorf("entries %+v", v.Entries())
			}
			for { // what is before it is merged, it stays
				more, err := s.Merge(compaction.PlanFinal)
				partitiontest.Must(t, err)
				if !more {
					break
				}
			}
			if _, listed := s.M.State().Blocks[e.Name]; !listed || len(s.M.State().Blocks) != 2 {
				t.Errorf("blocks %v", s.M.State().Blocks)
			}
			// Retention drops it like any other.
			s.NowMs += 60 * model.DayMs
			partitiontest.Must(t, s.Publish(manifest.Edit{Floor: partitiontest.Ptr(partitiontest.TestDay + model.DayMs), Drop: []string{e.Name}}))
		})
	}
}

func TestOpenSetFailsOnAnErrorThatSaysNothingOfTheBlock(t *testing.T) {
	mem := vfs.NewMem()
	s := storetest.Open(t, mem)
	partitiontest.Must(t, s.Cut())
	partitiontest.Must(t, s.Cut())
	partitiontest.Must(t, s.Close())
	fault := vfs.NewFault(mem)
	m, err := manifest.Open(fault, "d", 0)
	partitiontest.Must(t, err)
	fault.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpOpen && strings.Contains(o.Name, "0002.tsb") {
			return syscall.EMFILE
		}
		return nil
	})
	if _, err := blockset.Open(objstore.NewDir(fault, "d"), m, blockset.Options{}); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("too many open files: %v", err)
	}
	partitiontest.Must(t, m.Close())
	if n := mem.OpenFiles(); n != 0 {
		t.Errorf("%d files are left open", n)
	}
	partitiontest.Must(t, s.Open())
}

func TestPublishRefusesABlockThatIsNotThere(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	before := s.M.State()
	if _, err := s.Set.Publish(partitiontest.CutEdit(partitiontest.CutBlock(1, 1))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if s.M.State() != before {
		t.Error("the MANIFEST has the edit")
	}
}

// Readers hold versions, read and release them while edits are published.
func TestVersionsAreSafeForConcurrentReaders(t *testing.T) {
	fsys := vfs.NewMem()
	s := storetest.Open(t, fsys)
	s.Small = true
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
				v := s.Set.Acquire()
				for _, e := range v.Raw() {
					var smp model.Samples
					dead, err := v.Deletions(context.Background(), e, v.State().Tombstones)
					ord := uint32(rnd.IntN(int(e.Series)))
					err = errors.Join(err, partitiontest.SamplesOf(context.Background(), e.Block(), ord, model.AllTime, &smp))
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
		if err := s.Step(); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	close(done)
	wg.Wait()
	partitiontest.Must(t, s.Check())
}

func TestCleanUp(t *testing.T) {
	fsys := vfs.NewMem()
	s := storetest.Open(t, fsys)
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, 1, 5, 1)}))           // generation 1
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, model.DayMs, 3, 1)})) // generation 2
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, 2, 5, 1)}))           // generation 3, dropped below
	l0 := []string{"l0/000000000001-000000000001.tsb", "l0/000000000002-000000000002.tsb"}
	write := func(m block.Meta) string {
		w, err := block.Create(objstore.NewDir(fsys, "d"), m, block.WriterOptions{})
		partitiontest.Must(t, err)
		e := storetest.Series(0)
		partitiontest.Must(t, w.Series(e.Tenant, e.ID, e.Labels))
		partitiontest.Must(t, w.Samples(storetest.Ticks(partitiontest.TestDay, 1, 5, 1)))
		info, err := w.Finish()
		partitiontest.Must(t, err)
		return info.Name
	}
	l1 := func(inputs ...string) block.Meta {
		return block.Meta{Key: block.Key{Partition: partitiontest.TestDay, Level: block.L1}, MinGen: 1, MaxGen: 2, Inputs: inputs}
	}
	made := write(l1(l0...))
	strange := write(l1("l0/000000000001-000000000001.tsb", "l0/000000000008-000000000008.tsb"))
	inWAL := write(block.Meta{Key: block.SpanningKey(block.L0), MinGen: 4, MaxGen: 5})
	halfInWAL := write(block.Meta{Key: block.SpanningKey(block.L0), MinGen: 6, MaxGen: 7})
	tooOld := write(block.Meta{Key: block.SpanningKey(block.L0), MinGen: 0, MaxGen: 0})
	dropped := "l0/000000000003-000000000003.tsb"
	deletion := partitiontest.Tombstone(1, 4)
	deletion.Range = model.AllTime
	partitiontest.Must(t, s.Publish(manifest.Edit{AddTombstones: []manifest.Tombstone{deletion}}))
	partitiontest.Must(t, s.Publish(manifest.Edit{Drop: []string{dropped}}))
	partitiontest.PutFile(t, fsys, "d/l0/000000000009-000000000009.tsb", []byte("tsdbblck and then the power went"))
	partitiontest.PutFile(t, fsys, "d/raw/2026-11-18/x.tmp", []byte("x"))
	partitiontest.PutFile(t, fsys, "d/raw/2026-11-18/notes.txt", []byte("somebody's"))
	partitiontest.PutFile(t, fsys, "d/lost+found/"+strings.ReplaceAll(halfInWAL, "/", "_"), []byte("from the last time"))

	left, err := s.Set.CleanUp(func(lo, hi uint64) bool { return hi <= 6 })
	partitiontest.Must(t, err)
	got := map[string]string{}
	for _, l := range left {
		got[l.Name] = l.MovedTo
		if l.Reason == "" || exists(fsys, l.Name) || l.MovedTo != "" && !exists(fsys, l.MovedTo) {
			t.Errorf("leftover %+v", l)
		}
	}
	want := map[string]string{
		made: "", inWAL: "", dropped: "", "l0/000000000009-000000000009.tsb": "", "raw/2026-11-18/x.tmp": "",
		strange:   format.LostFoundDir + "/" + strings.ReplaceAll(strange, "/", "_"),
		halfInWAL: format.LostFoundDir + "/" + strings.ReplaceAll(halfInWAL, "/", "_") + ".1",
		tooOld:    format.LostFoundDir + "/" + strings.ReplaceAll(tooOld, "/", "_"),
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if !exists(fsys, "raw/2026-11-18/notes.txt") || !exists(fsys, l0[0]) {
		t.Error("a file that is no block, or a listed block, is gone")
	}
	left, err = s.Set.CleanUp(func(lo, hi uint64) bool { return true })
	if len(left) != 0 || err != nil {
		t.Errorf("a second time: %v, %v", left, err)
	}
}
