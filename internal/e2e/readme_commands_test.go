package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeCommandsWork runs the README's one-line commands for a running server in a
// shell, in order. Each must succeed, and curl must receive a status below 400.
func TestReadmeCommandsWork(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	promtool := findProgram(t, "promtool-3.14")
	s := newServer(t, t.TempDir(), "--self-scrape.interval", "1s")
	s.start(t)
	s.waitReady(t)
	ran := 0
	for line := range strings.Lines(string(content)) {
		command, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		if !indented || !strings.Contains(command, "localhost:9201") || !strings.Contains(command, "curl ") && !strings.Contains(command, "promtool ") {
			continue
		}
		command = strings.ReplaceAll(command, "localhost:9201", s.addr)
		command = strings.ReplaceAll(command, "curl ", "curl -f ")
		command = strings.ReplaceAll(command, "promtool ", promtool+" ")
		code, out := runProgram(t, "bash", "-o", "pipefail", "-c", command)
		if code != 0 {
			t.Errorf("exit code %d of: %s\n%s", code, command, out)
		}
		for asked, want := range map[string]string{`room="kitchen"`: `"21.5"`, `"room_°C"`: `"21.5"`} {
			if strings.Contains(command, "query=") && strings.Contains(command, asked) && !strings.Contains(out, want) {
				t.Errorf("the answer has no %s: %s\n%s", want, command, out)
			}
		}
		ran++
	}
	if ran < 8 {
		t.Errorf("only %d commands were found", ran)
	}
	s.noPanic(t)
}
