package e2e

import (
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tsdb/internal/await"
)

// A killed server whose log has been lost refuses to start: it reports the missing
// segments and how to continue without them, and so does check. Once the loss has been
// accepted it starts, now and later.
func TestServerRefusesToStartWithoutItsLog(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, wal string){
		"removed": func(t *testing.T, wal string) {
			if err := os.RemoveAll(wal); err != nil {
				t.Fatal(err)
			}
		},
		"emptied": func(t *testing.T, wal string) {
			files, err := filepath.Glob(filepath.Join(wal, "*"))
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			for _, f := range files {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		},
		"cut": func(t *testing.T, wal string) {
			if err := os.Truncate(filepath.Join(wal, "000000000001.wal"), 4096); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, t.TempDir())
			client := newHTTPClient(t)
			s.start(t)
			s.waitReady(t)
			l := newLedger(remoteWriteDoor, 0, rand.Int63())
			for range 30 {
				if r, err := l.write(t.Context(), client, s.url()); err != nil || !r.acknowledged() {
					t.Fatalf("write: %+v, %v", r, err)
				}
			}
			// The list is written after the first sync, and again within ten
			// seconds of growth.
			await.That(t, "the log's growth is listed", func() bool {
				code, out := runProgram(t, tsdbBin, "inspect", "--file", filepath.Join(s.dir, "SEGMENTS"))
				m := regexp.MustCompile(`durable up to offset (\d{5,})`).FindString(out)
				return code == 0 && m != ""
			})
			s.kill()
			copied := filepath.Join(t.TempDir(), "copy")
			if out, err := exec.Command("cp", "-r", s.dir, copied).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			harm(t, filepath.Join(s.dir, "wal"))

			code, out := runProgram(t, tsdbBin, "check", "--data", s.dir)
			if code != 1 || !strings.Contains(out, "wal/000000000001.wal") || !strings.Contains(out, "gone") {
				t.Errorf("check ends with %d:\n%s", code, out)
			}
			code, out = runProgram(t, tsdbBin, s.commandLine()...)
			token := regexp.MustCompile(`tsdb repair --data (\S+) --accept-log-loss=([0-9a-f]{16})`).FindStringSubmatch(out)
			if code != 1 || token == nil || token[1] != s.dir || !strings.Contains(out, "000000000001.wal") || !strings.Contains(out, "received from 20") {
				t.Fatalf("serve ends with %d:\n%s", code, out)
			}
			if code, out := runProgram(t, tsdbBin, "repair", "--data", s.dir, "--accept-log-loss=00112233445566ff"); code != 1 || !strings.Contains(out, token[2]) {
				t.Errorf("repair with a wrong token ends with %d:\n%s", code, out)
			}
			if code, out := runProgram(t, tsdbBin, "repair", "--data", s.dir, "--accept-log-loss="+token[2]); code != 0 || !strings.Contains(out, "Accepted") {
				t.Fatalf("repair ends with %d:\n%s", code, out)
			}
			if code, out := runProgram(t, tsdbBin, "repair", "--data", s.dir, "--accept-log-loss="+token[2]); code != 0 || !strings.Contains(out, "Nothing to accept") {
				t.Errorf("a second repair ends with %d:\n%s", code, out)
			}
			s.check(t)
			s.start(t)
			s.waitReady(t)
			if r, err := l.write(t.Context(), client, s.url()); err != nil || !r.acknowledged() {
				t.Errorf("write: %+v, %v", r, err)
			}
			s.kill()
			s.start(t)
			s.waitReady(t)
			s.stop(t)
			s.check(t)

			// A copy of the whole directory is as good as the directory was.
			s.dir = copied
			s.check(t)
			s.start(t)
			s.waitReady(t)
			s.stop(t)
		})
	}
}
