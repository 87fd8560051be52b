package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// makeDatabase creates a data directory with one block and returns its path.
func makeDatabase(t *testing.T) string {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	doctortest.Opened(t, vfs.OS, dir)
	db, err := storage.Open(ctx, vfs.OS, dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: 1}, labels.FromStrings("__name__", "m"))
	if err != nil {
		t.Fatal(err)
	}
	b.Float(ref, vfs.SystemClock.Now().UnixMilli(), 0, 1)
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runs executes a command and checks its exit code and a part of its output.
func runs(t *testing.T, want int, says string, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(args, &stdout, &stderr)
	if out := stdout.String() + stderr.String(); code != want || !strings.Contains(out, says) {
		t.Errorf("tsdb %v: exit code %d, want %d, with %q in\n%s", args, code, want, says, out)
	}
}

func damageByte(t *testing.T, name string, at int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0x10
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRepairShowsThenDoes(t *testing.T) {
	dir := makeDatabase(t)
	manifest := filepath.Join(dir, "MANIFEST")
	runs(t, 0, "nothing to do", "repair", "--data", dir)
	damageByte(t, manifest, 30)
	runs(t, 1, "damage: MANIFEST at 16", "check", "--data", dir)
	runs(t, 1, "repeat with --yes", "repair", "--data", dir)
	runs(t, 1, "damage: MANIFEST at 16", "check", "--data", dir)
	runs(t, 0, "kept the old file as MANIFEST.damaged-1", "repair", "--data", dir, "--yes")
	runs(t, 0, "0 damaged places, 0 notes", "check", "--data", dir)
	runs(t, 0, "nothing to do", "repair", "--data", dir, "--yes")

	damageByte(t, manifest, 30)
	damageByte(t, manifest+".2", 31)
	runs(t, 0, "MANIFEST.damaged-2", "repair", "--data", dir, "--yes")
	runs(t, 0, "0 damaged places, 0 notes", "check", "--data", dir)

	for _, name := range []string{manifest, manifest + ".2"} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	// The footers of the blocks have the identity seed, but deletions may be lost.
	runs(t, 1, "--assume-no-deletes", "repair", "--data", dir, "--yes")
	runs(t, 0, "listed by its footer", "repair", "--data", dir, "--yes", "--assume-no-deletes")
	runs(t, 0, "0 damaged places, 0 notes", "check", "--data", dir)
	runs(t, 2, "not a data directory", "repair", "--data", t.TempDir())
	runs(t, 2, "either --accept-log-loss or", "repair", "--data", dir, "--yes", "--accept-log-loss=x")
}

// The error of a start with a damaged MANIFEST names the repair command.
func TestStartOnADamagedManifestNamesTheRepair(t *testing.T) {
	doctortest.Damages(t, "no copy of the MANIFEST can be read, and none is repaired")
	dir := makeDatabase(t)
	damageByte(t, filepath.Join(dir, "MANIFEST"), 30)
	damageByte(t, filepath.Join(dir, "MANIFEST.2"), 31)
	_, err := storage.Open(context.Background(), vfs.OS, dir, storage.Options{})
	if err == nil {
		t.Fatal("it starts")
	}
	if err := (&service{dataDir: dir}).explain(err); !strings.Contains(err.Error(), "tsdb repair --data "+dir) {
		t.Error(err)
	}
}
