package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandsAndExitCodes(t *testing.T) {
	f := func(want int, stdoutHas, stderrHas string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := run(args, &stdout, &stderr); got != want {
			t.Errorf("tsdb %v: exit code %d, want %d", args, got, want)
		}
		if !strings.Contains(stdout.String(), stdoutHas) || stdoutHas == "" && stdout.Len() > 0 {
			t.Errorf("tsdb %v prints %q, want %q", args, stdout.String(), stdoutHas)
		}
		if !strings.Contains(stderr.String(), stderrHas) || stderrHas == "" && stderr.Len() > 0 {
			t.Errorf("tsdb %v prints to stderr %q, want %q", args, stderr.String(), stderrHas)
		}
	}
	f(exitUsage, "", "tsdb serve [flags]")
	f(exitOK, "tsdb serve [flags]", "", "--help")
	f(exitOK, "tsdb unknown (go", "", "--version")
	f(exitUsage, "", `unknown command "server"`, "server")
	f(exitUsage, "", "unknown flag --nope", "serve", "--nope")
	f(exitOK, "--retention.raw duration", "", "serve", "--help")
	f(exitOK, "(default :9201)", "", "serve", "-h")
	f(exitUsage, "", "unknown flag --nope", "check", "--nope")
	f(exitOK, "--json", "", "check", "--help")
	f(exitUsage, "", "either --data or --file", "inspect")
	f(exitUsage, "", "either --data or --file", "inspect", "--data", "a", "--file", "b")
}

// The help of every command names a default once.
func TestHelpNamesDefaultsOnce(t *testing.T) {
	for _, command := range []string{"serve", "check", "repair", "import", "export", "inspect", "backup", "restore"} {
		if !strings.Contains(usage, "  tsdb "+command+" ") {
			t.Errorf("%s is not in the usage", command)
		}
		out, _, code := runCommand(command, "--help")
		if code != exitOK {
			t.Errorf("%s: exit code %d", command, code)
		}
		for line := range strings.Lines(out) {
			if strings.Count(line, "default ") > 1 {
				t.Errorf("%s: %s", command, line)
			}
		}
	}
}
