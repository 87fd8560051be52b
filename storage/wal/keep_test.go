package wal

import (
	"context"
	"path"
	"strings"
	"testing"
	"time"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// keptFiles returns the names of the kept segments.
func keptFiles(t *testing.T, fs vfs.FS) (names []string) {
	t.Helper()
	all, err := fs.List(testDir)
	must(t, err)
	for _, n := range all {
		if strings.HasSuffix(n, keptSuffix) {
			names = append(names, n)
		}
	}
	return names
}

// endGeneration writes a frame, rotates and releases all before.
func endGeneration(t *testing.T, l *Log, payload string) {
	t.Helper()
	lsn := put(t, l, 1, payload)
	must(t, l.Wait(context.Background(), lsn))
	must(t, l.PrepareRotate(context.Background()))
	gen, _, err := l.Rotate()
	must(t, err)
	must(t, l.Release(gen, gen))
}

// Released segments stay for Options.Keep with all their frames, also over restarts, and go
// afterwards, when space is wanted, or when the log is opened without Keep.
func TestReleasedSegmentsAreKept(t *testing.T) {
	fs := vfs.NewMem()
	o := small()
	clock := vfs.NewManualClock(time.UnixMilli(1_000_000))
	o.Clock, o.Keep = clock, time.Hour
	l := openLog(t, fs, o)
	endGeneration(t, l, "one")
	clock.Advance(40 * time.Minute)
	endGeneration(t, l, "two")
	if n := keptFiles(t, fs); len(n) != 2 || l.KeptBytes() == 0 || l.KeptBytes() >= o.SegmentBytes {
		t.Fatalf("kept: %v, %d bytes", n, l.KeptBytes())
	}
	must(t, l.Close())

	r := scan(t, fs)
	extents, err := r.Extents()
	must(t, err)
	next, payloads := uint64(1), ""
	for _, x := range extents {
		if x.First != next || x.Prev != next-1 {
			t.Errorf("extent %+v after LSN %d", x, next-1)
		}
		must(t, r.ReadFrames(x, 0, x.Last, func(b []byte) error {
			return EachFrame(b, x.Segment, func(f log.Frame) error {
				payloads += string(f.Payload[:min(len(f.Payload), 3)])
				return nil
			})
		}))
		next = x.Last + 1
	}
	if !strings.Contains(payloads, "one") || !strings.Contains(payloads, "two") {
		t.Errorf("frames %q", payloads)
	}

	l = openLog(t, fs, o)
	if n := keptFiles(t, fs); len(n) != 2 {
		t.Errorf("kept after a start: %v", n)
	}
	clock.Advance(30 * time.Minute)
	endGeneration(t, l, "three")
	if n := keptFiles(t, fs); len(n) < 2 || strings.Contains(n[0], ".1000000.") {
		t.Errorf("kept after 70 minutes: %v", n)
	}
	if l.PooledBytes() < l.KeptBytes() {
		t.Errorf("%d bytes can be freed, %d are kept", l.PooledBytes(), l.KeptBytes())
	}
	must(t, l.DropPool())
	if n := keptFiles(t, fs); len(n) != 0 || l.KeptBytes() != 0 {
		t.Errorf("kept on a full disk: %v", n)
	}
	endGeneration(t, l, "four")
	must(t, l.Close())
	must(t, Check(fs, testDir, o, func(file string, off int64, what string, note bool) {
		t.Errorf("check: %s@%d: %s", file, off, what)
	}))
	o.Keep = 0
	openLog(t, fs, o)
	if n := keptFiles(t, fs); len(n) != 0 {
		t.Errorf("kept by a log that keeps nothing: %v", n)
	}
}

// A log built of another's frames replays the same frames, but for those that released
// others.
func TestBuilderMakesALogOfFrames(t *testing.T) {
	fs := vfs.NewMem()
	o := small()
	o.Keep = time.Hour
	l := openLog(t, fs, o)
	var want []string
	for _, payload := range []string{"a", strings.Repeat("b", 500), "c", strings.Repeat("d", 500)} {
		endGeneration(t, l, payload)
		want = append(want, payload)
	}
	must(t, l.Close())
	r := scan(t, fs)
	extents, err := r.Extents()
	must(t, err)
	must(t, fs.MkdirAll("built/wal"))
	b := NewBuilder(fs, "built/wal", 2)
	for _, x := range extents {
		must(t, r.ReadFrames(x, 0, x.Last, func(frames []byte) error {
			return EachFrame(frames, x.Segment, func(f log.Frame) error { return b.Add(x.Segment, f) })
		}))
	}
	must(t, b.Finish("built/SEGMENTS"))
	o.ListName = "built/SEGMENTS"
	built, err := Scan(fs, "built/wal", o)
	must(t, err)
	rep := built.Report()
	if rep.Damages != 0 || rep.Torn.File != "" || rep.Edit > 2 || rep.Synced != rep.LastLSN || built.Loss(0) != nil {
		t.Errorf("report %+v", rep)
	}
	var got []string
	for _, gen := range built.Generations() {
		must(t, built.Replay(context.Background(), gen, 1, func(_ int, f log.Frame) error {
			got = append(got, string(f.Payload))
			return nil
		}))
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%d frames, want %d", len(got), len(want))
	}
}

// A segment with other links is not changed by a repair, a release or a reuse.
func TestLinkedSegmentsAreNotChanged(t *testing.T) {
	fs := vfs.NewMem()
	o := small()
	l := openLog(t, fs, o)
	must(t, l.Wait(context.Background(), put(t, l, 1, "one")))
	must(t, l.PrepareRotate(context.Background()))
	_, _, err := l.Rotate() // so that the frames of the first segment are named as durable
	must(t, err)
	must(t, l.Wait(context.Background(), put(t, l, 1, "two")))
	must(t, fs.MkdirAll("other"))
	link := func() map[string]string {
		content := map[string]string{}
		names, err := fs.List(testDir)
		must(t, err)
		for _, n := range names {
			if path.Ext(n) != segmentSuffix {
				continue
			}
			to := path.Join("other", n)
			if _, err := fs.Stat(to); err != nil {
				must(t, fs.Link(path.Join(testDir, n), to))
			}
			content[to] = contentOf(t, fs, to)
		}
		return content
	}
	must(t, l.Close())
	// A start cuts off what is allocated after the frames, and a torn tail.
	before := link()
	must(t, openLog(t, fs, o).Close())
	for name, was := range before {
		if got := contentOf(t, fs, name); got != was {
			t.Errorf("%s was cut off: %d bytes, were %d", name, len(got), len(was))
		}
	}
	f, err := fs.OpenReadWrite(path.Join(testDir, "000000000001.wal"))
	must(t, err)
	_, err = f.WriteAt([]byte("torn tail"), 9000)
	must(t, err)
	must(t, f.Close())
	before = link()
	l = openLog(t, fs, o)
	endGeneration(t, l, "two")
	endGeneration(t, l, "three")
	endGeneration(t, l, "four")
	must(t, l.Close())
	openLog(t, fs, o)
	for name, was := range before {
		if got := contentOf(t, fs, name); got != was {
			t.Errorf("%s was changed: %d bytes, were %d", name, len(got), len(was))
		}
	}
}

func contentOf(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	must(t, err)
	return string(b)
}
