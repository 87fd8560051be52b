package partition

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/internal/vfs"
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
	s := openStore(t, fsys)
	for i := range int64(5) {
		must(t, s.cutOf(contents{0: ticks(testDay+i*1000, 100, 10, 1), 1: ticks(testDay+i*1000, 100, 10, 2)}))
	}
	files, err := fsys.List("d/l0")
	must(t, err)
	for i, b := range s.m.State().Sorted() {
		fsys.name = b.Name
		more, err := s.merge(PlanFinal)
		fsys.name = ""
		var p *panics.Error
		var damage *DamageError
		if more || !errors.As(err, &p) || p.Value != "for the test" || !errors.As(err, &damage) || damage.Path != b.Name {
			t.Fatalf("panic at input %d of 5: merged %v, %v", i, more, err)
		}
		// Nothing is left of the merge, nor of those that found the input.
		after, err := fsys.List("d/l0")
		must(t, err)
		if days, err := fsys.List("d/raw"); err == nil {
			for _, day := range days {
				left, err := fsys.List("d/raw/" + day)
				must(t, err)
				after = append(after, left...)
			}
		}
		if len(after) != len(files) {
			t.Fatalf("files %q, before the merge %q", after, files)
		}
		must(t, s.check())
	}
	// Without the input the others go on: those before it become L2.
	third := s.m.State().Sorted()[2].Name
	s.set.Quarantine(third, errors.New("its merge panics"))
	fsys.name = third
	must(t, s.mergeAll())
	fsys.name = ""
	for _, b := range s.m.State().Sorted() {
		if b.Level == L0 && b.MinGen < 3 {
			t.Errorf("%s is not merged", b.Name)
		}
	}
	v := s.set.Acquire()
	defer v.Release()
	v.Find(third).bad.Store(nil) // it was sound
	must(t, s.check())
}

// A panic that comes from none of the inputs costs the merge only.
func TestMergeThatPanicsOnceBlamesNothing(t *testing.T) {
	s := openStore(t, vfs.NewMem())
	must(t, s.cutOf(contents{0: ticks(testDay, 100, 10, 1)}))
	must(t, s.cutOf(contents{0: ticks(testDay, model.HourMs, 10, 1)}))
	panicked := false
	s.opts.Yield = func(ctx context.Context) error {
		if !panicked {
			panicked = true
			panic("once")
		}
		return nil
	}
	var p *panics.Error
	var damage *DamageError
	if _, err := s.merge(PlanFinal); !errors.As(err, &p) || errors.As(err, &damage) {
		t.Fatalf("merge: %v", err)
	}
	must(t, s.mergeAll())
	must(t, s.check())
}
