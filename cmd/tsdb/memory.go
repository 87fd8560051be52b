package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryBytes returns the memory that the process may use: that of the machine,
// or less if its control group allows less; 0 if it is not known. root is /.
func memoryBytes(root string) int64 {
	least := uint64(math.MaxInt64)
	read := func(elem ...string) string {
		content, err := os.ReadFile(filepath.Join(append([]string{root}, elem...)...))
		if err != nil {
			return "" // another system, or another version of control groups
		}
		return string(content)
	}
	for line := range strings.Lines(read("proc/meminfo")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			if kib, err := strconv.ParseUint(f[1], 10, 53); err == nil {
				least = min(least, kib<<10)
			}
		}
	}
	limit := func(elem ...string) {
		// "max" is no limit, and no number.
		if n, err := strconv.ParseUint(strings.TrimSpace(read(elem...)), 10, 64); err == nil && n > 0 {
			least = min(least, n)
		}
	}
	const groups = "sys/fs/cgroup"
	for line := range strings.Lines(read("proc/self/cgroup")) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		// A group has what all above it have. In a container its own path is
		// mounted at the top.
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
	if least == math.MaxInt64 {
		return 0
	}
	return int64(least)
}

// memoryShare is a flag: a size, or a part of the memory as in 40%; 0 is none.
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
			return fmt.Errorf("%q is not a part of the memory such as 40%%", s)
		}
		*m = memoryShare{percent: n}
		return nil
	}
	var bytes sizeOrNone
	if err := bytes.Set(s); err != nil {
		return fmt.Errorf("%w, nor 0, nor a part of the memory such as 40%%", err)
	}
	*m = memoryShare{bytes: size(bytes)}
	return nil
}

// of returns the share of so much memory in bytes, 0 if there is no limit.
func (m *memoryShare) of(memory int64) int64 {
	if m.percent > 0 {
		return memory / 100 * m.percent
	}
	return int64(m.bytes)
}
