package importgraph

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxFiles is the number of files, tests apart, above which the doc.go of a
// package must say why they are together.
const maxFiles = 30

// reasonPhrase begins the reason in a doc.go.
const reasonPhrase = "has more than 30 files because"

func TestLargePackagesSayWhy(t *testing.T) {
	files := map[string]int{}
	for _, f := range sources(t, false) {
		files[f.folder]++
	}
	for folder, n := range files {
		if n <= maxFiles {
			continue
		}
		doc, err := os.ReadFile(filepath.Join(moduleRoot(t), folder, "doc.go"))
		if err != nil {
			t.Error(err)
			continue
		}
		if text := strings.Join(strings.Fields(strings.ReplaceAll(string(doc), "//", "")), " "); !strings.Contains(text, reasonPhrase) {
			t.Errorf("%s has %d files, limit is %d: split it, or write in its doc.go that it %q", folder, n, maxFiles, reasonPhrase+" …")
		}
	}
}
