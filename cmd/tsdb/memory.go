package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryBytes returns the memory that the process may use: that of the machine or
// the limit of its control group, whichever is lower; 0 if unknown. root is / but
// in tests.
func memoryBytes(root string) int64 {
	lowest := uint64(math.MaxInt64)
	read := func(elem ...string) string {
		content, err := os.ReadFile(filepath.Join(append([]string{root}, elem...)...))
		if err != nil {
			return "" // another operating system, or another version of control groups
		}
		return string(content)
	}
	for line := range strings.Lines(read("proc/meminfo")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			if kib, err := strconv.ParseUint(f[1], 10, 53); err == nil {
				lowest = min(lowest, kib<<10)
			}
		}
	}
	limit := func(elem ...string) {
		// "max" means no limit and is not a number.
		if n, err := strconv.ParseUint(strings.TrimSpace(read(elem...)), 10, 64); err == nil && n > 0 {
			lowest = min(lowest, n)
		}
	}
	const groups = "sys/fs/cgroup"
	for line := range strings.Lines(read("proc/self/cgroup")) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		// The limits of all ancestors apply. In a container the path of its own
		// group is mounted at the top.
		for dir := filepath.Clean("/" + path); ; dir = filepath.Dir(dir) {
			switch {
			case id == "0":
				limit(groups, dir, "memory.max")
			case controllers == "memory":
				limit(groups, "memory", dir, "memory.limit_in_bytes")
			}
			if dir == "/" {
				break
			}
		}
	}
	if lowest == math.MaxInt64 {
		return 0
	}
	return int64(lowest)
}

// memoryShare is a flag value: a size, or a percentage of the memory such as 40%;
// 0 = no limit.
type memoryShare struct {
	percent int64 // if bytes is 0
	bytes   size
}

func (m *memoryShare) String() string {
	if m.percent > 0 {
		return strconv.FormatInt(m.percent, 10) + "%"
	}
	return m.bytes.String()
}

func (m *memoryShare) Set(s string) error {
	if number, ok := strings.CutSuffix(s, "%"); ok {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 1 || n > 100 {
			return fmt.Errorf("%q is not a percentage of the memory such as 40%%", s)
		}
		*m = memoryShare{percent: n}
		return nil
	}
	var bytes sizeOrNone
	if err := bytes.Set(s); err != nil {
		return fmt.Errorf("%w, nor 0, nor a percentage of the memory such as 40%%", err)
	}
	*m = memoryShare{bytes: size(bytes)}
	return nil
}

// of returns the share of memory in bytes, 0 if there is no limit.
func (m *memoryShare) of(memory int64) int64 {
	if m.percent > 0 {
		return memory / 100 * m.percent
	}
	return int64(m.bytes)
}
