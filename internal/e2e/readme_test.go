package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readmeSnippet returns the fenced block of the README that follows the comment
// <!-- snippet: NAME -->, with the default address replaced by the server's.
func readmeSnippet(t *testing.T, name, addr string) string {
	t.Helper()
	snippet := readmeBlock(t, name)
	if !strings.Contains(snippet, "localhost:9201") {
		t.Fatalf("the block %s of README.md names no localhost:9201:\n%s", name, snippet)
	}
	return strings.ReplaceAll(snippet, "localhost:9201", addr)
}

// readmeBlock returns the fenced block of the README that follows the comment
// <!-- snippet: NAME -->.
func readmeBlock(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(content), "<!-- snippet: "+name+" -->\n```")
	if !found {
		t.Fatalf("README.md has no block marked <!-- snippet: %s -->", name)
	}
	_, rest, _ = strings.Cut(rest, "\n") // the language
	snippet, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatalf("the block %s of README.md does not end:\n%s", name, snippet)
	}
	return snippet
}
