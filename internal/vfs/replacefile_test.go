package vfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand"
	"syscall"
	"testing"
)

func anySize(int64) error { return nil }

// Every operation of a replacement fails in turn, and the power is cut after it: the file
// has the old content or the new one, the new one if the replacement succeeded.
func TestReplaceFileIsOneStep(t *testing.T) {
	const old, replaced = "old", "new content"
	for failing := 0; ; failing++ {
		mem := NewMem()
		if err := MakeDirs(mem, "d"); err != nil {
			t.Fatal(err)
		}
		if err := ReplaceFile(mem, "d/f", ".tmp", []byte(old)); err != nil {
			t.Fatal(err)
		}
		f, done := NewFault(mem), 0
		f.SetHook(func(Op) error {
			if done++; done-1 == failing {
				return syscall.EIO
			}
			return nil
		})
		err := ReplaceFile(f, "d/f", ".tmp", []byte(replaced))
		failed := done > failing
		if !failed && err != nil {
			t.Fatalf("without a fault: %v", err)
		}
		after := []FS{mem, mem.CrashClone(CrashOptions{})}
		for seed := range int64(4) {
			after = append(after, mem.CrashClone(CrashOptions{Mode: CrashTorn, Rand: rand.New(rand.NewSource(seed))}))
		}
		for _, fsys := range after {
			got, readErr := ReadFile(fsys, "d/f", anySize)
			if readErr != nil || string(got) != replaced && string(got) != old {
				t.Fatalf("operation %d failed: %q, %v", failing, got, readErr)
			}
			if err == nil && string(got) != replaced {
				t.Errorf("operation %d failed, the replacement did not: %q", failing, got)
			}
		}
		if !failed {
			return
		}
	}
}

func TestReadFile(t *testing.T) {
	mem := NewMem()
	if err := ReplaceFile(mem, "f", ".tmp", []byte("four")); err != nil {
		t.Fatal(err)
	}
	large := errors.New("too large")
	if _, err := ReadFile(mem, "f", func(size int64) error {
		if size != 4 {
			t.Errorf("the size is %d, want 4", size)
		}
		return large
	}); !errors.Is(err, large) {
		t.Errorf("a file that is not admitted: %v", err)
	}
	if _, err := ReadFile(mem, "g", anySize); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	short := NewFault(mem)
	short.SetHook(func(op Op) error {
		if op.Kind == OpRead {
			return io.EOF
		}
		return nil
	})
	if _, err := ReadFile(short, "f", anySize); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that ends before its size: %v", err)
	}
}
