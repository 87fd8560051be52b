package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryIsTheMinimumOfMachineAndGroups(t *testing.T) {
	const mib = 1 << 20
	f := func(name string, want int64, files map[string]string) {
		t.Helper()
		root := t.TempDir()
		for file, content := range files {
			file = filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := memoryBytes(root); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	const machine = "MemTotal:        2097152 kB\nMemFree:          100 kB\n"
	f("another system", 0, nil)
	f("no groups", 2048*mib, map[string]string{"proc/meminfo": machine})
	f("nonsense", 2048*mib, map[string]string{"proc/meminfo": machine + "MemTotal: x kB\n", "proc/self/cgroup": "0\n::\n0::/a\n", "sys/fs/cgroup/a/memory.max": "lots\n"})
	f("unlimited group", 2048*mib, map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"})
	f("group", 512*mib, map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "536870912\n"})
	f("group above", 256*mib, map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "536870912\n", "sys/fs/cgroup/a/memory.max": "268435456\n"})
	f("container", 128*mib, map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/docker/x\n", "sys/fs/cgroup/memory.max": "134217728\n"})
	f("old groups", 64*mib, map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "7:cpu:/c\n5:memory:/d\n0::/\n", "sys/fs/cgroup/memory/d/memory.limit_in_bytes": "67108864\n"})
	f("old groups without limit", 2048*mib, map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "5:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"})
}

func TestSharesOfMemory(t *testing.T) {
	f := func(text string, memory, want int64) {
		t.Helper()
		var m memoryShare
		if err := m.Set(text); err != nil {
			t.Fatal(err)
		}
		if got := m.of(memory); got != want {
			t.Errorf("%s of %d is %d, want %d", text, memory, got, want)
		}
	}
	f("40%", 1000, 400)
	f("40%", 0, 0)
	f("1GiB", 1000, 1<<30)
	f("0", 1000, 0)
}
