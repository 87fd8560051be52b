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

// A pause of real time makes a test slow on a fast machine and flaky on a slow
// one. Tests sleep only in the virtual time of testing/synctest; they wait for a
// signal, or poll through internal/await, everywhere else. Code of the server
// does not sleep at all: its waits end with a context.
func TestNothingSleepsInRealTime(t *testing.T) {
	root := moduleRoot(t)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); name != root && (strings.HasPrefix(n, ".") || slices.Contains(notOurs, n)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, pos := range realSleeps(file) {
			at := fset.Position(pos)
			rel, _ := filepath.Rel(root, at.Filename)
			t.Errorf("%s:%d: time.Sleep outside synctest.Test: wait for a signal, or use internal/await", filepath.ToSlash(rel), at.Line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// realSleeps returns the uses of time.Sleep that may run outside of a bubble of
// testing/synctest. Inside are those in a call of synctest.Test or of a function
// of the file that calls it, and those in helpers of a file with bubbles:
// functions that are neither tests nor benchmarks themselves.
func realSleeps(file *ast.File) (all []token.Pos) {
	isBubble := func(c *ast.CallExpr) bool { return isSelector(c.Fun, "synctest", "Test") }
	callers := map[string]bool{}
	for _, decl := range file.Decls {
		ast.Inspect(decl, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok && isBubble(c) {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
					callers[f.Name.Name] = true
				}
			}
			return true
		})
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && len(callers) > 0 && !isEntry(f) {
			continue
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				f, ok := n.Fun.(*ast.Ident)
				return !isBubble(n) && !(ok && callers[f.Name])
			case *ast.SelectorExpr:
				if isSelector(n, "time", "Sleep") {
					all = append(all, n.Pos())
				}
			}
			return true
		})
	}
	return all
}

// isEntry reports whether package testing calls the function.
func isEntry(f *ast.FuncDecl) bool {
	return f.Recv == nil && slices.ContainsFunc([]string{"Test", "Benchmark", "Fuzz", "Example"}, func(prefix string) bool {
		return strings.HasPrefix(f.Name.Name, prefix)
	})
}

func isSelector(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

func TestRealSleepsAreFound(t *testing.T) {
	f := func(want int, source string) {
		t.Helper()
		file, err := parser.ParseFile(token.NewFileSet(), "x_test.go", "package x\n"+source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(realSleeps(file)); got != want {
			t.Errorf("%d sleeps, want %d, in:\n%s", got, want, source)
		}
	}
	const bubbles = `import ("testing/synctest"; "time")
		func bubble(f func(t *T)) { synctest.Test(t, f) }
		`
	f(1, `import "time"; func TestA() { time.Sleep(1) }`)
	f(1, `import "time"; func helper() { time.Sleep(1) }`)
	f(1, `import "time"; var pause = time.Sleep`)
	f(0, `import "time"; func TestA() { <-time.After(1) }`)
	f(0, bubbles+`func TestA() { synctest.Test(t, func(t *T) { time.Sleep(1) }) }`)
	f(1, bubbles+`func TestA() { time.Sleep(1); synctest.Test(t, func(t *T) { time.Sleep(1) }) }`)
	f(0, bubbles+`func TestA() { bubble(func(t *T) { time.Sleep(1) }) }`)
	f(1, bubbles+`func TestA() { other(func(t *T) { time.Sleep(1) }) }`)
	f(0, bubbles+`func helper() { time.Sleep(1) }`)
}
