package encoding

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the bytes of testdata/columns.golden from its values")

// The golden files hold columns of every codec: a name, the bytes with their
// meaning, and the values as goldenvalues_test.go writes them.
//
//	timestamps/constant/n=9
//	    00                               |   0: order raw, coder CONST
//	    09                               |   1: base -5
//	  = -5 -5 -5 -5 -5 -5 -5 -5 -5
//
// Bytes once written keep their meaning forever. An encoder may write other bytes
// for the same values: then -update rewrites the bytes in columns.golden and moves
// the previous entries to old.golden, where they must still decode. To add
// a column, write its name and values; -update writes its bytes.

// The encoder writes the bytes of columns.golden.
func TestGoldenColumnsEncode(t *testing.T) {
	path := filepath.Join("testdata", "columns.golden")
	var out strings.Builder
	for _, g := range readGolden(t, path) {
		fmt.Fprintf(&out, "%s\n", g.name)
		writeFields(&out, g.column, g.append(nil))
		writeValues(&out, g.values)
	}
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != string(want) {
		t.Errorf("columns are not those of %s (-update rewrites it):\n%s", path, firstDifference(got, string(want)))
	}
}

// All golden bytes decode to their values, including those of earlier encoders.
func TestGoldenColumnsDecode(t *testing.T) {
	for _, file := range []string{"columns.golden", "old.golden"} {
		for _, g := range readGolden(t, filepath.Join("testdata", file)) {
			if same, err := g.decode(t, g.bytes, g.n); err != nil || !same {
				t.Errorf("%s: %s: same values: %v, error: %v", file, g.name, same, err)
			}
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, g[i], append(w, "")[min(i, len(w))])
		}
	}
	return "lines missing at the end"
}

// goldenColumn is an entry of a golden file: the column of its values, and the bytes
// in the file.
type goldenColumn struct {
	column
	bytes  []byte
	values []string
}

// goldenColumns returns the columns of columns.golden.
func goldenColumns(t testing.TB) []goldenColumn {
	return readGolden(t, filepath.Join("testdata", "columns.golden"))
}

func readGolden(t testing.TB, path string) []goldenColumn {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []goldenColumn
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if !strings.HasPrefix(line, " ") {
			all = append(all, goldenColumn{column: column{name: line}})
			continue
		}
		g := &all[len(all)-1]
		if values, ok := strings.CutPrefix(line, "  = "); ok {
			g.values = append(g.values, strings.Fields(values)...)
			continue
		}
		digits, _, _ := strings.Cut(line, "|")
		b, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil {
			t.Fatalf("%s:%d: %v", path, i+1, err)
		}
		g.bytes = append(g.bytes, b...)
	}
	for i, g := range all {
		if all[i].column, err = columnOfValues(g.name, g.values); err != nil {
			t.Fatalf("%s: %s: %v", path, g.name, err)
		}
	}
	return all
}

// writeFields writes a column as "bytes | offset: meaning", 16 bytes a line.
func writeFields(out *strings.Builder, c column, b []byte) {
	fields := []Field{{0, len(b), fmt.Sprintf("%d bytes", len(b))}}
	if k, ok := goldenKinds[strings.Split(c.name, "/")[0]]; ok {
		var err error
		if fields, err = ColumnFields(k, b, c.n); err != nil {
			fmt.Fprintf(out, "  error: %v\n", err)
		}
	}
	for _, f := range fields {
		for at := 0; at < f.Length; at += 16 {
			line := b[f.Offset+at : f.Offset+min(at+16, f.Length)]
			if at == 0 {
				fmt.Fprintf(out, "    %-32x | %3d: %s\n", line, f.Offset, f.Meaning)
			} else {
				fmt.Fprintf(out, "    %x |\n", line)
			}
		}
	}
}

// writeValues writes the values of a column, up to 128 bytes a line.
func writeValues(out *strings.Builder, values []string) {
	var line bytes.Buffer
	for i, v := range values {
		line.WriteString(" " + v)
		if i == len(values)-1 || line.Len()+1+len(values[i+1]) > 128 {
			fmt.Fprintf(out, "  =%s\n", &line)
			line.Reset()
		}
	}
}

var goldenKinds = map[string]Kind{
	"floats": KindFloats, "timestamps": KindTimestamps, "starts": KindStartTimestamps, "histograms": KindHistograms,
	"buckettimes": KindBucketTimes, "bucketvalues": KindBucketValues,
}
