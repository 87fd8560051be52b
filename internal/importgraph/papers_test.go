package importgraph

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	// link matches the target of a Markdown link.
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// goFile matches the path of a Go file in code quotes: `storage/cut.go`.
	// A name without a folder is not a path.
	goFile = regexp.MustCompile("`([\\w.-]+(?:/[\\w.-]+)+\\.go)`")
)

// TestPapersNameFilesThatExist checks every relative link and every path of a Go
// file in the pages. The pages under docs/research are as of their date: only
// their links are checked.
func TestPapersNameFilesThatExist(t *testing.T) {
	pages := []string{"README.md", "CONTRIBUTING.md"}
	err := fs.WalkDir(os.DirFS(root), "docs", func(name string, _ fs.DirEntry, err error) error {
		if path.Ext(name) == ".md" {
			pages = append(pages, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range missing(string(text), page) {
			t.Errorf("%s names %s, which does not exist: correct the page", page, name)
		}
	}
}

func TestMissingFindsBrokenLinksAndPaths(t *testing.T) {
	text := "[a](README.md) [b](nope.md) [c](design.md#parts) [d](https://example.org/x) [e](#here) `storage/db.go` `storage/nope.go` `nope.go`"
	got := strings.Join(missing(text, "docs/README.md"), " ")
	if want := "nope.md storage/nope.go"; got != want {
		t.Errorf("missing: %q, want %q", got, want)
	}
	if got := missing("`storage/nope.go`", "docs/research/old.md"); len(got) > 0 {
		t.Errorf("missing in a page of research: %q, want none", got)
	}
}

// missing returns the files that the text of a page names and that do not exist.
func missing(text, page string) []string {
	var names []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, ":") {
			continue // within the page, or on another site
		}
		if !exists(path.Join(path.Dir(page), target)) {
			names = append(names, m[1])
		}
	}
	if path.Dir(page) == "docs/research" {
		return names
	}
	for _, m := range goFile.FindAllStringSubmatch(text, -1) {
		if !exists(m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// TestPageOfTheAPINamesEveryPath holds docs/http-api.md against the paths that
// the sources mount.
func TestPageOfTheAPINamesEveryPath(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/http-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, source := range []struct {
		file, prefix string
		path         *regexp.Regexp
	}{
		{"api/prom/api.go", "/api/v1", regexp.MustCompile(`\{(?:get|post|query), "(/[^"]+)"`)},
		{"api/prom/api.go", "", regexp.MustCompile(`mux\.Handle(?:Func)?\("(?:GET|POST) (/[^"]+)"`)},
		{"api/ingest/remotewrite/remotewrite.go", "", regexp.MustCompile(`mux\.Handle\("(/[^"]+)"`)},
		{"api/ingest/influx/handler.go", "", regexp.MustCompile(`mux\.HandleFunc\("(/[^"]+)"`)},
		{"api/pages.go", "", regexp.MustCompile(`mux\.HandleFunc\("GET (/[^"]+)"`)},
		{"api/server.go", "", regexp.MustCompile(`mux\.Handle\("GET (/[^"]+)"`)},
	} {
		text, err := os.ReadFile(filepath.Join(root, source.file))
		if err != nil {
			t.Fatal(err)
		}
		found := source.path.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s mounts no path that matches %s: correct the test", source.file, source.path)
		}
		for _, m := range found {
			name := source.prefix + strings.TrimSuffix(m[1], "{$}")
			named := regexp.MustCompile("[ `]" + regexp.QuoteMeta(name) + "[`,;\n]")
			if n++; !named.Match(page) {
				t.Errorf("docs/http-api.md does not name %s, which %s mounts", name, source.file)
			}
		}
	}
	const least = 45 // paths when this test was written
	if n < least {
		t.Errorf("%d paths found in the sources, want at least %d", n, least)
	}
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return !errors.Is(err, fs.ErrNotExist)
}
