package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// settingName matches a flag with a dot in its name, as written in messages.
var settingName = regexp.MustCompile(`--([a-z][a-z-]*(?:\.[a-z0-9-]+)+)`)

// toolSetting matches the definition of a flag of a tool in the text of this package.
var toolSetting = regexp.MustCompile(`Var\(&[^,]*, "([a-z][a-z-]*(?:\.[a-z0-9-]+)+)"`)

// TestSettingsNamedInMessagesExist verifies that every setting named in a message
// is a flag of serve, or of the tools where this package names it.
func TestSettingsNamedInMessagesExist(t *testing.T) {
	flags := (&config{}).flagSet()
	tools := map[string]bool{}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range toolSetting.FindAllSubmatch(source, -1) {
			tools[string(m[1])] = true
		}
	}
	found := 0
	check := func(where, text string) {
		for _, m := range settingName.FindAllStringSubmatch(text, -1) {
			found++
			if flags.Lookup(m[1]) == nil && !(tools[m[1]] && strings.Contains(filepath.ToSlash(where), "cmd/tsdb/")) {
				t.Errorf("%s names --%s, which is no flag of serve", where, m[1])
			}
		}
	}
	for _, root := range []string{"api", "cmd", "encoding", "partition", "query", "storage", "internal/vfs"} {
		err := filepath.WalkDir(filepath.Join("..", "..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					check(path, lit.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 10 {
		t.Errorf("only %d settings are named in messages: the test looks in the wrong place", found)
	}
}

// TestReadmeListsEverySetting verifies that the README's table has every flag.
func TestReadmeListsEverySetting(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range new(config).withFlags().values() {
		if !strings.Contains(string(readme), "`--"+s.name+"`") {
			t.Errorf("README.md does not list --%s", s.name)
		}
	}
}

func (c *config) withFlags() *config {
	c.flags = c.flagSet()
	return c
}
