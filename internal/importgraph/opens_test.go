package importgraph

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unchecked are the functions of tests that open a data directory and do not call
// doctortest, or doctor.Check, themselves; with the reason. An empty name stands for all
// functions of the file.
var unchecked = []struct{ file, name, reason string }{
	{"internal/crash/world_test.go", "open", "reopened checks every state; doctortest.NewMem the directories of workloads"},
	{"storage/fleet_year_test.go", "open", "each start clones the files; the test checks the last ones"},
	{"storage/life_world_test.go", "openDir", "the world checks its directory at restarts and at the end"},
	{"storage/logloss_test.go", "", "logs are lost; what is accepted is checked"},
	{"storage/repair_test.go", "", "MANIFESTs are damaged; what is repaired is checked"},
	{"storage/retention_fault_test.go", "on", "settles checks every state"},
	{"storage/script_test.go", "open", "scripts damage files; they have a command that checks"},
	{"storage/snapshots_test.go", "open", "newSnapshotWorld has the directory checked, tests their snapshots"},
	{"storage/tiered_world_test.go", "open", "newTieredWorld has the directory checked"},
	{"api/prom/damage_test.go", "open", "the world's block is destroyed"},
}

// `tsdb check` runs at the end of every test that opens a data directory.
func TestDirectoriesThatTestsOpenAreChecked(t *testing.T) {
	root := moduleRoot(t)
	used := map[int]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if n := d.Name(); name != root && (strings.HasPrefix(n, ".") || slices.Contains(notOurs, n) || rel == "benchmarks") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if !strings.HasSuffix(name, "_test.go") && !imports(file, "testing") {
			return nil
		}
		for _, f := range opensUnchecked(file) {
			i := slices.IndexFunc(unchecked, func(u struct{ file, name, reason string }) bool {
				return u.file == rel && (u.name == f || u.name == "")
			})
			if used[i] = true; i < 0 {
				t.Errorf("%s: %s opens a data directory that is not checked when the test ends: call doctortest.Opened before, or doctortest.NewMem for its files", rel, f)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range unchecked {
		if !used[i] {
			t.Errorf("%s %s needs no exception", u.file, u.name)
		}
	}
}

func imports(file *ast.File, path string) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"`+path+`"` })
}

func isBenchmark(param *ast.Field) bool {
	p, ok := param.Type.(*ast.StarExpr)
	return ok && isSelector(p.X, "testing", "B")
}

// opensUnchecked returns the functions of a file, but for benchmarks, that open a
// database and call neither package doctortest nor doctor.Check.
func opensUnchecked(file *ast.File) (all []string) {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || slices.ContainsFunc(f.Type.Params.List, isBenchmark) {
			continue
		}
		opens, checks := false, false
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch fun := c.Fun.(type) {
			case *ast.Ident:
				opens = opens || fun.Name == "Open" && file.Name.Name == "storage"
				checks = checks || fun.Name == "openChecked"
			case *ast.SelectorExpr:
				x, _ := fun.X.(*ast.Ident)
				opens = opens || isSelector(fun, "storage", "Open")
				checks = checks || x != nil && x.Name == "doctortest" || isSelector(fun, "doctor", "Check")
			}
			return true
		})
		if opens && !checks {
			all = append(all, f.Name.Name)
		}
	}
	return all
}

func TestUncheckedOpensAreFound(t *testing.T) {
	f := func(want, source string) {
		t.Helper()
		file, err := parser.ParseFile(token.NewFileSet(), "x_test.go", source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(opensUnchecked(file), " "); got != want {
			t.Errorf("got %q, want %q, in:\n%s", got, want, source)
		}
	}
	f("A", "package x; func A() { storage.Open(ctx, fs) }")
	f("A", "package storage; func A() { f := func() { Open(ctx, fs) }; f() }; func B() { fs.Open(x) }")
	f("", "package wal; func A() { Open(fs) }; func B() { objects.Open(x) }")
	f("", "package x; func A() { doctortest.Opened(t, fs, dir); storage.Open(ctx, fs) }")
	f("B", "package storage; func A() { openChecked(t, ctx, fs) }; func B() { Open(ctx, fs) }")
	f("", "package storage; func BenchmarkA(b *testing.B) { Open(ctx, fs) }")
	f("", "package x; func A() { db, err := storage.Open(ctx, fs); doctor.Check(ctx, fs) }")
}
