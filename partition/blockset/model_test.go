package blockset_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	oldrand "math/rand"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/format"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/internal/storetest"
)

// Random operations on real blocks, the contents compared with the model after
// each, the database opened again now and then.
func TestSetHoldsWhatTheModelHolds(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			fsys := vfs.NewMem()
			s := storetest.New(t, fsys, seed)
			partitiontest.Must(t, s.Open())
			for i := range 70 {
				if err := s.Step(); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				if i%10 == 9 {
					partitiontest.Must(t, s.Close())
					partitiontest.Must(t, s.Open())
				}
				if err := s.Check(); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			partitiontest.Must(t, s.MergeAll())
			partitiontest.Must(t, s.Check())
			partitiontest.Must(t, s.Retire())
			for name, b := range s.M.State().Blocks {
				if b.Tier == block.Raw && b.Level != block.L2 {
					t.Errorf("%s is left of the final form", name)
				}
			}
			partitiontest.Must(t, s.Sweep())
			files, err := block.ListKeys(context.Background(), objstore.NewDir(fsys, "d"))
			partitiontest.Must(t, err)
			if len(files) != len(s.M.State().Blocks) {
				t.Errorf("%d files of %d blocks: %v", len(files), len(s.M.State().Blocks), files)
			}
			partitiontest.Must(t, s.Close())
			if n := fsys.OpenFiles(); n != 0 {
				t.Errorf("%d files are left open", n)
			}
		})
	}
}

// A crash before every operation that changes the disk, with what was not
// synced lost, half kept or torn: after it the contents are those before or
// those after the step, and opening a second time changes nothing.
func TestSetSurvivesACrashAtEveryOperation(t *testing.T) {
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	states := 0
	for seed := range seeds {
		n, err := crashEverywhere(t, 100+seed, 30, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		states += n
	}
	t.Logf("%d crash states", states)
	if states < 500 {
		t.Errorf("only %d crash states", states)
	}
}

// The crash test is worth something only if it fails where a sync is left out.
func TestCrashesFindEveryMissingSync(t *testing.T) {
	for _, c := range []struct {
		name string
		skip func(o vfs.Op) bool
	}{
		{"of the edit", func(o vfs.Op) bool { return o.Kind == vfs.OpSync && strings.Contains(o.Name, format.ManifestName) }},
		{"of the directory of the MANIFEST", func(o vfs.Op) bool { return o.Kind == vfs.OpSyncDir && o.Name == "d" }},
		{"of the block", func(o vfs.Op) bool { return o.Kind == vfs.OpSync && strings.HasSuffix(o.Name, format.BlockSuffix) }},
		{"of the directory of the blocks", func(o vfs.Op) bool { return o.Kind == vfs.OpSyncDir && o.Name != "d" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(5) {
				if _, err := crashEverywhere(t, 100+seed, 30, c.skip); err != nil {
					t.Log(err)
					return
				}
			}
			t.Error("nothing was missed")
		})
	}
}

// crashEverywhere takes random steps and crashes before each operation of each.
// Operations that skip matches only say that they are done. It returns the
// number of crashes, and the first after which something is wrong.
func crashEverywhere(t *testing.T, seed uint64, steps int, skip func(vfs.Op) bool) (states int, failed error) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	fault.Count(vfs.MutatingOps)
	fault.Skip(skip)
	s := storetest.New(t, fault, seed)
	s.Small = true
	fault.SetHook(func(o vfs.Op) error {
		for mode := vfs.CrashLose; mode <= vfs.CrashTorn && failed == nil; mode++ {
			opts := vfs.CrashOptions{Mode: mode, Keep: 0.5, Rand: oldRand(int64(o.N)*3 + int64(mode))}
			states++
			if err := checkReopened(s, mem.CrashClone(opts)); err != nil {
				failed = fmt.Errorf("crash before operation %d, %v, unsynced data: %v: %w", o.N, o, mode, err)
			}
		}
		return nil
	})
	partitiontest.Must(t, s.Open())
	for i := 0; i < steps && failed == nil; i++ {
		partitiontest.Must(t, s.Step())
	}
	partitiontest.Must(t, s.Close())
	return states, failed
}

// checkReopened opens what a crash left, twice, and checks it.
func checkReopened(s *storetest.Store, mem *vfs.Mem) error {
	c := &storetest.Store{T: s.T, Fs: mem, Rnd: s.Rnd, Want: s.Want, Maybe: s.Maybe, Named: s.Named, NowMs: s.NowMs}
	for range 2 {
		if err := c.Open(); err != nil {
			return err
		}
		if err := c.Check(); err != nil {
			return errors.Join(err, c.Close())
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Every operation fails once, in each of four ways. Nothing panics, what was
// published stays readable, the store goes on or says that it takes no more
// edits, and a restart finds what was acknowledged.
func TestSetSurvivesEveryFault(t *testing.T) {
	steps := 14
	for _, fail := range faults {
		t.Run(fail.Error(), func(t *testing.T) {
			states := 0
			for k := 1; ; k++ {
				mem := vfs.NewMem()
				fault := vfs.NewFault(mem)
				s := storetest.New(t, fault, 7)
				s.Small = true
				partitiontest.Must(t, s.Open())
				n := fault.N()
				fault.FailAt(n+k, fail)
				for i := 0; i < steps; i++ {
					if err := s.Step(); err != nil && s.M.Err() == nil {
						// Whoever gave up goes on with something else.
						if err := s.Sweep(); err != nil && s.M.Err() == nil {
							t.Fatalf("operation %d: sweep after a fault: %v", k, err)
						}
					}
				}
				if fault.N() < n+k {
					t.Logf("%d operations", k-1)
					break
				}
				k += 2
				if testing.Short() {
					k += 14
				}
				states++
				fault.SetHook(nil)
				if s.M.Err() == nil {
					partitiontest.Must(t, s.M.Settle())
					s.Maybe = nil
				}
				if err := s.Check(); err != nil {
					t.Fatalf("operation %d fails: then %v", k, err)
				}
				if err := checkReopened(s, mem.CrashClone(vfs.CrashOptions{})); err != nil {
					t.Fatalf("operation %d fails: after a crash %v", k, err)
				}
				if err := checkReopened(s, mem.Clone()); err != nil {
					t.Fatalf("operation %d fails: after a restart %v", k, err)
				}
			}
			if states < 20 {
				t.Errorf("only %d operations failed", states)
			}
		})
	}
}

// A merge done twice gives the same bytes.
func TestMergeIsAFunctionOfItsInputs(t *testing.T) {
	fsys := vfs.NewMem()
	s := storetest.New(t, fsys, 5)
	partitiontest.Must(t, s.Open())
	partitiontest.Must(t, s.Cut())
	partitiontest.Must(t, s.MergeAll())
	for range 9 {
		s.NowMs += 5 * model.HourMs
		partitiontest.Must(t, s.Cut())
	}
	for done := 0; ; done++ {
		v := s.Set.Acquire()
		plan, ok := compaction.PlanFinal(compaction.Candidates(v, nil), compaction.PlanOptions{NowMs: s.NowMs, FreeBytes: math.MaxUint64, WALLow: v.State().WALLow})
		if !ok {
			v.Release()
			if done < 3 {
				t.Fatalf("only %d merges", done)
			}
			break
		}
		var files [2][][]byte
		var out *compaction.Merged
		for i := range files {
			if out != nil {
				for _, name := range out.Names() {
					partitiontest.Must(t, fsys.Remove(path.Join("d", name)))
				}
			}
			var err error
			out, err = compaction.Merge(context.Background(), v, plan, nil, s.Opts)
			partitiontest.Must(t, err)
			for _, name := range out.Names() {
				b, err := partitiontest.ReadFile(fsys, path.Join("d", name), 1<<30)
				partitiontest.Must(t, err)
				files[i] = append(files[i], b)
			}
		}
		if !slices.EqualFunc(files[0], files[1], slices.Equal) {
			t.Fatalf("%s gives other bytes the second time", plan.Reason)
		}
		v.Release()
		partitiontest.Must(t, s.Publish(out.Edit(s.NowMs)))
	}
}

func oldRand(seed int64) *oldrand.Rand { return oldrand.New(oldrand.NewSource(seed)) }

var faults = []error{syscall.EIO, syscall.ENOSPC, vfs.ErrShortWrite}
