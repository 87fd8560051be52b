package server

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The CPU clock of this process is about what the kernel says of its use.
func TestCPUTimeIsThatOfTheProcess(t *testing.T) {
	before, err := CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
	}
	after, err := CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	used := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if after <= before || used < after-20*time.Millisecond {
		t.Errorf("%s, then %s; getrusage says %s", before, after, used)
	}
	if _, err := CPUTime(1 << 22); err == nil { // above the kernel's greatest
		t.Error("no error for a process that is not there")
	}
}

func TestPromoteSnapshot(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	block := filepath.Join("20260105T000000Z-1", "01BLOCK")
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(data, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, path), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("wal/00000000")
	if err := promoteSnapshot(data); err == nil {
		t.Fatal("no error without a snapshot")
	}
	write(filepath.Join("snapshots", block, "index"))
	if err := promoteSnapshot(data); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(data, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "01BLOCK" {
		t.Errorf("%v are left, %v; want the block alone", left, err)
	}
}
