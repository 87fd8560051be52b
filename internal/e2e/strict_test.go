package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server with --strict starts on the directory of another server, but not on one with
// a damaged copy of the MANIFEST; without --strict the copy is restored.
func TestStrictServer(t *testing.T) {
	s := newServer(t, t.TempDir(), "--strict")
	s.start(t)
	s.waitReady(t)
	s.stop(t)
	s.start(t)
	s.waitReady(t)
	s.stop(t)
	name := filepath.Join(s.dir, "MANIFEST.2")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[30] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := runProgram(t, tsdbBin, s.commandLine()...)
	if code != 1 || !strings.Contains(out, "refused by strict mode") || !strings.Contains(out, "MANIFEST.2@16") || !strings.Contains(out, "tsdb check --data") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	s.args = nil
	s.start(t)
	s.waitReady(t)
	s.stop(t)
	s.check(t)
}
