package archive

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	someMark = mark{
		Incarnation: 0x5b1f0c7a9e3d2468, WallMs: 1795971618305, MaxMs: 1795971618300, Edit: 17, Low: 8, LSN: 4711, Generation: 9, Manifest: []byte("MANIFEST"),
		Pieces: []piece{
			{Segment: 3, Generation: 8, First: 4000, Last: 4500, Prev: 3990, FirstMs: 1795971600000, LastMs: 1795971610000, RawBytes: 70000, RawCRC: 0x1234, Object: objstore.Identity{Size: 20000, TailCRC: 5}},
			{Segment: 4, Generation: 9, First: 4501, Last: 4711, Prev: 4500, FirstMs: 1795971610001, LastMs: 1795971618300, RawBytes: 900, RawCRC: 0x5678, Object: objstore.Identity{Size: 800, TailCRC: 6}},
		},
	}
	// lackingMark has version 2.
	lackingMark = func() mark {
		m := someMark
		m.Missing = []string{"l0/l0-000000000004-000000000004-000-00000001.tsb", "raw/2026-03-10/d-000000000003-000000000003-000-00000002.tsb"}
		return m
	}()
	someHead = head{
		Incarnation: 0x5b1f0c7a9e3d2468, Changes: 4,
		Marks: []MarkRef{
			{WallMs: 1795971600000, Edit: 16, LSN: 3990, Object: objstore.Identity{Size: 300, TailCRC: 1}},
			{WallMs: 1795971618305, Edit: 17, LSN: 4711, Object: objstore.Identity{Size: 350, TailCRC: 2}},
		},
		Unreferenced: []unreferenced{{Key: "5b1f0c7a9e3d2468/log/a.frames", SinceMs: 1795971600001}},
		Condemned:    []string{"5b1f0c7a9e3d2468/log/b.frames"},
	}
)

// somePiece returns the object of a piece with frames of a log that a builder wrote.
func somePiece(t testing.TB) []byte {
	fsys := vfs.NewMem()
	if err := fsys.MkdirAll("wal"); err != nil {
		t.Fatal(err)
	}
	b := wal.NewBuilder(fsys, "wal", 9)
	for lsn := range uint64(3) {
		f := log.Frame{Type: log.FrameMetadata, LSN: lsn + 5, Generation: 2, WallMs: 1795971618305, Payload: log.AppendMetadata(nil, nil)}
		if err := b.Add(7, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Finish("SEGMENTS"); err != nil {
		t.Fatal(err)
	}
	rec, err := wal.Scan(fsys, "wal", wal.Options{ListName: "SEGMENTS"})
	if err != nil {
		t.Fatal(err)
	}
	extents, err := rec.Extents()
	if err != nil || len(extents) != 1 {
		t.Fatal(extents, err)
	}
	x := extents[0]
	p := piece{Segment: x.Segment, Generation: x.Generation, First: x.First, Last: x.Last}
	var out bytes.Buffer
	w, err := newPieceWriter(&out, &p)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rec.ReadFrames(x, 0, x.Last, w.frames), w.finish()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFormatsAreGolden(t *testing.T) {
	fsys := vfs.NewMem()
	for name, b := range map[string][]byte{"head": appendHead(nil, &someHead), "mark": appendMark(nil, &someMark), "mark-lacking": appendMark(nil, &lackingMark), "frames": somePiece(t)} {
		f, err := fsys.Create("x." + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		var out bytes.Buffer
		if err := Describe(&out, fsys, "x."+name); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden+".txt", out.Bytes(), 0o644), os.WriteFile(golden+".bin", b, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		wantText, err := os.ReadFile(golden + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		wantBytes, err := os.ReadFile(golden + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), wantText) {
			t.Errorf("%s changed:\n%s", name, out.String())
		}
		if name != "frames" && !bytes.Equal(b, wantBytes) { // another zstd may write other bytes
			t.Errorf("bytes of a %s changed", name)
		}
	}
	if b, err := os.ReadFile("testdata/frames.bin"); err != nil {
		t.Error(err)
	} else if _, err := readPiece(bytes.NewReader(b), func(uint64, log.Frame) error { return nil }); err != nil {
		t.Errorf("old piece: %v", err)
	}
}

func TestFormatsComeBackEqual(t *testing.T) {
	for _, want := range []*mark{&someMark, &lackingMark} {
		if m, err := decodeMark(appendMark(nil, want)); err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("mark: %+v, %v", m, err)
		}
	}
	if h, err := decodeHead(appendHead(nil, &someHead)); err != nil || !reflect.DeepEqual(h, &someHead) {
		t.Errorf("head: %+v, %v", h, err)
	}
}

// A changed byte anywhere is noticed.
func TestChangedBytesAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		b      []byte
		decode func([]byte) error
	}{
		"head":         {appendHead(nil, &someHead), func(b []byte) error { _, err := decodeHead(b); return err }},
		"mark":         {appendMark(nil, &someMark), func(b []byte) error { _, err := decodeMark(b); return err }},
		"mark-lacking": {appendMark(nil, &lackingMark), func(b []byte) error { _, err := decodeMark(b); return err }},
		"frames": {somePiece(t), func(b []byte) error {
			_, err := readPiece(bytes.NewReader(b), func(uint64, log.Frame) error { return nil })
			return err
		}},
	} {
		if err := c.decode(c.b); err != nil {
			t.Fatal(err)
		}
		for i := range c.b {
			b := bytes.Clone(c.b)
			b[i] ^= 1
			if c.decode(b) == nil {
				t.Errorf("%s: a change at %d is not noticed", name, i)
			}
		}
		if err := c.decode(c.b[:len(c.b)-1]); err == nil {
			t.Errorf("%s: a lost end is not noticed", name)
		}
	}
}

func FuzzHead(f *testing.F) {
	f.Add(appendHead(nil, &someHead))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHead(withChecksum(b))
		if err != nil {
			return
		}
		again, err := decodeHead(appendHead(nil, h))
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Errorf("%+v came back as %+v, %v", h, again, err)
		}
	})
}

func FuzzMark(f *testing.F) {
	f.Add(appendMark(nil, &someMark))
	f.Add(appendMark(nil, &lackingMark))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMark(withChecksum(b))
		if err != nil {
			return
		}
		again, err := decodeMark(appendMark(nil, m))
		if err != nil || !bytes.Equal(appendMark(nil, again), appendMark(nil, m)) {
			t.Errorf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

func FuzzPiece(f *testing.F) {
	f.Add(somePiece(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, withChecksum(b)} {
			_, err := readPiece(bytes.NewReader(b), func(uint64, log.Frame) error { return nil })
			if err != nil && !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, format.ErrVersion) && !errors.Is(err, log.ErrCorrupt) {
				t.Errorf("error of another class: %v", err)
			}
		}
	})
}
