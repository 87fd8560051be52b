package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

// frames returns the number of frames of a segment. What a reused file held before
// does not count.
func frames(t *testing.T, fs vfs.FS, name string) (n int) {
	t.Helper()
	const header, id = 32, 16 // bytes, and the offset of the segment's id
	b, err := readAll(fs, name)
	must(t, err)
	if len(b) < header || !strings.HasSuffix(name, ".wal") {
		return 0
	}
	_ = wal.EachFrame(b[header:], binary.LittleEndian.Uint64(b[id:]), func(log.Frame) error { n++; return nil }) // ends at the first bytes that are none
	return n
}

// Strict mode refuses what an ordinary start goes on without, and changes
// nothing; what a crash leaves it takes.
func TestStrictStartRefusesDamage(t *testing.T) {
	doctortest.Damages(t, "it damages files to see them refused")
	ctx := context.Background()
	made := vfs.NewMem()
	opts := Options{Seed: 1, CacheBytes: -1, ReserveBytes: 4096, WALSegmentBytes: 64 << 10, Strict: true}
	db, err := openChecked(t, ctx, made, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	writeSample(t, db, 1)
	if _, err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		writeSample(t, db, i) // stays in the log
	}
	block := db.manifest.State().Sorted()[0].Name
	crashed := made.CrashClone(vfs.CrashOptions{})
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := db.Close(stopped); err != nil {
		t.Fatal(err)
	}
	segments, err := crashed.List("data/wal")
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, name := range segments {
		if frames(t, crashed, "data/wal/"+name) > 1 {
			last = "data/wal/" + name
		}
	}
	if last == "" {
		t.Fatalf("no segment with two frames among %v", segments)
	}
	for _, c := range []struct {
		name   string
		damage func(fs *vfs.Mem)
		says   string
	}{
		{"nothing but a crash", func(*vfs.Mem) {}, ""},
		{"no second copy yet", func(fs *vfs.Mem) { must(t, fs.Remove("data/MANIFEST.2")) }, ""},
		{"a block is missing", func(fs *vfs.Mem) { must(t, fs.Remove("data/"+block)) }, block},
		{"a block is unreadable", func(fs *vfs.Mem) {
			f, err := fs.OpenReadWrite("data/" + block)
			must(t, err)
			must(t, f.Truncate(50))
			must(t, errors.Join(f.Sync(), f.Close()))
		}, block},
		{"the log is damaged", func(fs *vfs.Mem) { flip(t, fs, last, 60) }, "log: "},
		{"the first copy of the MANIFEST is damaged", func(fs *vfs.Mem) { flip(t, fs, "data/MANIFEST", 30) }, "MANIFEST@16"},
		{"the second copy of the MANIFEST is damaged", func(fs *vfs.Mem) { flip(t, fs, "data/MANIFEST.2", 30) }, "MANIFEST.2@16"},
		{"the first copy of the MANIFEST is missing", func(fs *vfs.Mem) { must(t, fs.Remove("data/MANIFEST")) }, "MANIFEST is missing"},
	} {
		fs := crashed.Clone()
		c.damage(fs)
		before := fs.Clone()
		db, err := openChecked(t, ctx, fs, "data", opts)
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			must(t, db.Close(ctx))
			continue
		}
		if !errors.Is(err, ErrStrict) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, name := range []string{"MANIFEST", "MANIFEST.2", strings.TrimPrefix(last, "data/"), block} {
			a, _ := readAll(fs, "data/"+name)
			b, _ := readAll(before, "data/"+name)
			if string(a) != string(b) {
				t.Errorf("%s: the refused start changed %s", c.name, name)
			}
		}
		opts := opts
		opts.Strict = false
		if db, err = openChecked(t, ctx, fs, "data", opts); err != nil {
			t.Errorf("%s: an ordinary start: %v", c.name, err)
			continue
		}
		must(t, db.Close(ctx))
	}
}
