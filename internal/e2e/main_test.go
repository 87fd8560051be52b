package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// tsdbBin is the server under test.
var tsdbBin string

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests mostly wait for scrapes, disks and processes, so more than two of
	// them can run on two cores.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	// Servers start with the settings that users have, whatever those of the tests are.
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if err := os.Unsetenv(name); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	if tsdbBin = os.Getenv("TSDB_BIN"); tsdbBin != "" {
		var err error
		if tsdbBin, err = filepath.Abs(tsdbBin); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "tsdb-e2e-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	tsdbBin = filepath.Join(dir, "tsdb")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", tsdbBin, "tsdb/cmd/tsdb")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: build the server:", err)
		return 1
	}
	return m.Run()
}

// soak returns the time for which a test repeats, 0 for once.
func soak(t *testing.T) time.Duration {
	s := os.Getenv("TSDB_SOAK")
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("TSDB_SOAK=%s: %v", s, err)
	}
	return d
}
