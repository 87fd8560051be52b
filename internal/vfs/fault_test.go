package vfs

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// save is how a careful program replaces a small file.
func save(fsys FS, data string) (err error) {
	f, err := fsys.Create("tmp")
	if err != nil {
		return err
	}
	if _, err = f.WriteAt([]byte(data), 0); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename("tmp", "a"); err != nil {
		return err
	}
	return fsys.SyncDir("")
}

func TestTheLogShowsOperationsInOrder(t *testing.T) {
	f := NewFault(NewMem())
	f.Record(true)
	must(t, save(f, "hello"))
	want := `create tmp
write tmp @0+5
sync tmp
close tmp
rename tmp -> a
sync-dir ` + "\n"
	if got := f.Transcript(); got != want {
		t.Fatalf("got\n%swant\n%s", got, want)
	}
	if f.N() != 6 {
		t.Fatalf("counted %d", f.N())
	}
}

func TestEveryOperationCanFailOnce(t *testing.T) {
	for k := 1; ; k++ {
		m := NewMem()
		f := NewFault(m)
		f.Record(true)
		f.FailAt(k, syscall.EIO)
		err := save(f, "hello")
		if f.N() < k {
			must(t, err)
			if k != 7 {
				t.Fatalf("%d operations", k-1)
			}
			return
		}
		wantErr(t, err, syscall.EIO)
		if op := f.Log()[k-1]; !errors.Is(op.Result, syscall.EIO) || !strings.HasSuffix(op.String(), "input/output error") {
			t.Fatalf("log: %v", op)
		}
		if m.OpenFiles() != 0 {
			t.Fatalf("operation %d: file left open", k)
		}
	}
}

func TestAFailedSyncLosesTheBytesForGood(t *testing.T) {
	m := NewMem()
	fault := NewFault(m)
	f, err := fault.Create("a")
	must(t, err)
	must(t, fault.SyncDir(""))
	writeAt(t, f, 0, "first")
	fault.FailAt(fault.N()+1, syscall.EIO)
	wantErr(t, f.Sync(), syscall.EIO)
	must(t, f.Sync())
	wantTree(t, m, `a "first"`)
	if got := read(t, m.CrashClone(CrashOptions{}), "a"); strings.Contains(got, "first") {
		t.Fatalf("after the power cut: %q", got)
	}
	must(t, f.Close())
}

func TestAShortWriteLeavesHalf(t *testing.T) {
	m := NewMem()
	fault := NewFault(m)
	f, err := fault.Create("a")
	must(t, err)
	fault.FailAt(2, ErrShortWrite)
	n, err := f.WriteAt([]byte("12345678"), 0)
	wantErr(t, err, ErrShortWrite)
	if n != 4 {
		t.Fatalf("wrote %d", n)
	}
	wantTree(t, m, `a "1234"`)
	must(t, f.Close())
}

func TestSkippedOperationsLookLikeSuccess(t *testing.T) {
	m := NewMem()
	fault := NewFault(m)
	fault.SkipKinds(Ops(OpSync))
	must(t, save(fault, "hello"))
	wantTree(t, m, `a "hello"`)
	wantTree(t, m.CrashClone(CrashOptions{}), `a ""`)

	m = NewMem()
	fault = NewFault(m)
	fault.Count(Ops(OpWrite))
	fault.Skip(func(o Op) bool { return o.Kind == OpSyncDir || o.Kind == OpCreate })
	must(t, save(fault, "hello"))
	wantTree(t, m, `a "hello"`)
	wantTree(t, m.CrashClone(CrashOptions{}))
}

func TestHooksSeeTheStateBeforeTheOperation(t *testing.T) {
	m := NewMem()
	fault := NewFault(m)
	fault.Count(MutatingOps)
	var states []string
	fault.SetHook(func(o Op) error {
		states = append(states, o.Kind.String()+": "+strings.TrimSpace(tree(t, m.CrashClone(CrashOptions{}), "")))
		return nil
	})
	must(t, save(fault, "one"))
	must(t, save(fault, "two"))
	want := []string{
		"create: ", "write: ", "sync: ", "rename: ", "sync-dir: ",
		`create: a "one"`, `write: a "one"`, `sync: a "one"`, `rename: a "one"`, `sync-dir: a "one"`,
	}
	if !slices.Equal(states, want) {
		t.Fatalf("got %q", states)
	}
	called := 0
	fault.HookAt(fault.N()+2, func(o Op) {
		if called++; o.Kind != OpWrite {
			t.Errorf("hook before %v", o)
		}
	})
	must(t, save(fault, "three"))
	if called != 1 {
		t.Fatalf("hook called %d times", called)
	}
}

func TestCountingIsSafeFromManyGoroutines(t *testing.T) {
	fault := NewFault(NewMem())
	fault.Record(true)
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for range 50 {
				f, err := fault.Create(name)
				if err == nil {
					_, _ = f.WriteAt([]byte("x"), 0)
					_ = f.Close()
				}
				_ = fault.Remove(name)
			}
		})
	}
	wg.Wait()
	if fault.N() != 4*50*4 || len(fault.Log()) != fault.N() {
		t.Fatalf("counted %d, logged %d", fault.N(), len(fault.Log()))
	}
}
