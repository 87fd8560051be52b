package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
)

// runCommand runs a command and returns what it prints and its exit code.
func runCommand(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return out.String(), err.String(), code
}

func TestImportExplainsItsUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"what kind of source":        {"import"},
		`unknown kind of source "x"`: {"import", "x", "dir", "--to", "data"},
		"no source":                  {"import", "prometheus", "--to", "data"},
		"--to is missing":            {"import", "prometheus", "dir"},
		"unknown flag --too":         {"import", "prometheus", "dir", "--too", "data"},
		"no address of a server":     {"import", "prometheus", t.TempDir(), "--to", "http://"},
	} {
		if strings.Contains(want, "no address") {
			must(t, os.Mkdir(filepath.Join(args[2], "wal"), 0o700))
		}
		if _, stderr, code := runCommand(args...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
	if stdout, _, code := runCommand("import", "--help"); code != exitOK || !strings.Contains(stdout, "--dry-run") {
		t.Errorf("--help: exit %d, %q", code, stdout)
	}
	if _, stderr, code := runCommand("import", "prometheus", t.TempDir(), "--to", t.TempDir()); code != exitFailure || !strings.Contains(stderr, "neither blocks nor a log") {
		t.Errorf("an empty source: exit %d, %q", code, stderr)
	}
}

// prometheusDir makes a directory of Prometheus with samples from 40 days ago on.
func prometheusDir(t *testing.T) (dir string, samples int) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "wal"), 0o700))
	first := time.Now().Add(-40 * 24 * time.Hour).Truncate(24 * time.Hour).UnixMilli()
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 1000*24*3600*1000)
	must(t, err)
	app := w.Appender(context.Background())
	for day := range int64(5) {
		for i := range 20 {
			_, err := app.Append(0, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)), first+day*24*3600*1000+int64(i), float64(day))
			must(t, err)
			samples++
		}
	}
	must(t, app.Commit())
	_, err = w.Flush(context.Background())
	must(t, err)
	must(t, w.Close())
	return dir, samples
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestImportIntoDirectory(t *testing.T) {
	source, n := prometheusDir(t)
	to := filepath.Join(t.TempDir(), "data")
	if _, stderr, code := runCommand("import", "prometheus", source, "--to", to); code != exitFailure || !strings.Contains(stderr, "--retention.raw") {
		t.Errorf("older than the retention: exit %d, %q", code, stderr)
	}
	stdout, stderr, code := runCommand("import", "prometheus", source, "--to", filepath.Join(t.TempDir(), "nothing"), "--dry-run")
	if code != exitOK || !strings.Contains(stdout, "100 samples read") || !strings.Contains(stdout, "too_old") {
		t.Errorf("dry run: exit %d, %q %q", code, stdout, stderr)
	}
	stdout, stderr, code = runCommand("import", "prometheus", "--to", to, source, "--retention.raw", "0")
	if code != exitOK || !strings.Contains(stdout, fmt.Sprint(n, " imported")) {
		t.Errorf("exit %d, %q %q", code, stdout, stderr)
	}
	stdout, _, code = runCommand("import", "prometheus", "--to", to, source, "--retention.raw", "0")
	if code != exitOK || !strings.Contains(stdout, "0 samples read") || !strings.Contains(stdout, "had been imported before") {
		t.Errorf("again: exit %d, %q", code, stdout)
	}
	if stdout, _, code = runCommand("check", "--data", to); code != exitOK {
		t.Errorf("check: exit %d, %q", code, stdout)
	}
	if stdout, _, code = runCommand("inspect", "--data", to); code != exitOK || !strings.Contains(stdout, "100") {
		t.Errorf("inspect: exit %d, %q", code, stdout)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
