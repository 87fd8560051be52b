package snapshot

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tsdb/internal/vfs"
)

var update = flag.Bool("update", false, "rewrite the golden file")

var someMarker = Marker{Temporary: true, WallMs: 1795971618305, Edit: 17, LSN: 4711, Generation: 9, Incarnation: 0x5b1f0c7a9e3d2468}

func TestMarkerIsGolden(t *testing.T) {
	fsys := vfs.NewMem()
	if err := fsys.MkdirAll("s"); err != nil {
		t.Fatal(err)
	}
	if err := writeMarker(fsys, "s", someMarker); err != nil {
		t.Fatal(err)
	}
	if m, err := ReadMarker(fsys, "s"); err != nil || m != someMarker {
		t.Fatalf("read %+v, %v", m, err)
	}
	var out bytes.Buffer
	if err := Describe(&out, fsys, "s/SNAPSHOT"); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "snapshot.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("SNAPSHOT changed:\n%s", out.String())
	}
}

// FuzzMarker: any bytes give an error or a marker that has exactly these bytes.
func FuzzMarker(f *testing.F) {
	f.Add(appendMarker(nil, someMarker))
	f.Add(appendMarker(nil, Marker{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMarker(b)
		if err == nil && !bytes.Equal(appendMarker(nil, m), b) {
			t.Errorf("%+v of %x", m, b)
		}
	})
}

func TestNames(t *testing.T) {
	name := Name(time.UnixMilli(1795971618305), 0xa1b)
	if name != "20261129T170018Z-00000a1b" {
		t.Errorf("name %s", name)
	}
	f := func(name string, ok bool) {
		t.Helper()
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	f(name, true)
	f("", false)
	f("../20261129T170018Z-00000", false)
	f("20261129T170018Z-00000A1B", false)
	f("20261329T170018Z-00000a1b", false)
	f("20261129T170018Z/00000a1b", false)
	f(name+".tmp", false)
}
