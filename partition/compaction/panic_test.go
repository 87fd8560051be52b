package compaction_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/format"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/internal/storetest"
)

// panicFS panics when the columns of the file named are read.
type panicFS struct {
	vfs.FS
	name string
}

func (f *panicFS) Open(name string) (vfs.File, error) {
	file, err := f.FS.Open(name)
	return panicFile{file, f}, err
}

type panicFile struct {
	vfs.File
	fs *panicFS
}

func (f panicFile) ReadAt(b []byte, off int64) (int, error) {
	if f.fs.name != "" && strings.HasSuffix(f.Name(), f.fs.name) {
		panic("for the test")
	}
	return f.File.ReadAt(b, off)
}

func TestMergeThatPanicsNamesTheInput(t *testing.T) {
	fsys := &panicFS{FS: vfs.NewMem()}
	s := storetest.Open(t, fsys)
	for i := range int64(5) {
		partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay+i*1000, 100, 10, 1), 1: storetest.Ticks(partitiontest.TestDay+i*1000, 100, 10, 2)}))
	}
	files, err := fsys.List("d/l0")
	partitiontest.Must(t, err)
	for i, b := range s.M.State().Sorted() {
		fsys.name = b.Name
		more, err := s.Merge(compaction.PlanFinal)
		fsys.name = ""
		var p *panics.Error
		var damage *format.DamageError
		if more || !errors.As(err, &p) || p.Value != "for the test" || !errors.As(err, &damage) || damage.Path != b.Name {
			t.Fatalf("panic at input %d of 5: merged %v, %v", i, more, err)
		}
		// Nothing is left of the merge, nor of those that found the input.
		after, err := fsys.List("d/l0")
		partitiontest.Must(t, err)
		if days, err := fsys.List("d/raw"); err == nil {
			for _, day := range days {
				left, err := fsys.List("d/raw/" + day)
				partitiontest.Must(t, err)
				after = append(after, left...)
			}
		}
		if len(after) != len(files) {
			t.Fatalf("files %q, before the merge %q", after, files)
		}
		partitiontest.Must(t, s.Check())
	}
	// Without the input the others go on: those before it become L2.
	third := s.M.State().Sorted()[2].Name
	s.Set.Quarantine(third, errors.New("its merge panics"))
	fsys.name = third
	partitiontest.Must(t, s.MergeAll())
	fsys.name = ""
	for _, b := range s.M.State().Sorted() {
		if b.Level == block.L0 && b.MinGen < 3 {
			t.Errorf("%s is not merged", b.Name)
		}
	}
	partitiontest.Must(t, s.Close()) // opened again the block is sound
	partitiontest.Must(t, s.Open())
	partitiontest.Must(t, s.Check())
}

// A panic that comes from none of the inputs costs the merge only.
func TestMergeThatPanicsOnceBlamesNothing(t *testing.T) {
	s := storetest.Open(t, vfs.NewMem())
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, 100, 10, 1)}))
	partitiontest.Must(t, s.CutOf(storetest.Contents{0: storetest.Ticks(partitiontest.TestDay, model.HourMs, 10, 1)}))
	panicked := false
	s.Opts.Yield = func(ctx context.Context) error {
		if !panicked {
			panicked = true
			panic("once")
		}
		return nil
	}
	var p *panics.Error
	var damage *format.DamageError
	if _, err := s.Merge(compaction.PlanFinal); !errors.As(err, &p) || errors.As(err, &damage) {
		t.Fatalf("merge: %v", err)
	}
	partitiontest.Must(t, s.MergeAll())
	partitiontest.Must(t, s.Check())
}
