package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"tsdb/encoding"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// crashedLog returns a file system with a log of some frames whose process died
// after the last one was acknowledged, and those frames.
func crashedLog(t testing.TB, o Options, frames int, payload func(i int) string) (*vfs.Mem, []entry) {
	t.Helper()
	fs := vfs.NewMem()
	l := openLog(t, fs, o)
	var all []entry
	for i := range frames {
		p := payload(i)
		lsn := put(t, l, i%16, p)
		must(t, l.Wait(context.Background(), lsn))
		all = append(all, entry{lsn, l.Generation(), i % 16, p})
	}
	return fs.CrashClone(vfs.CrashOptions{}), all
}

// change rewrites bytes of a file.
func change(t testing.TB, fs vfs.FS, name string, off int64, b []byte) {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	must(t, err)
	_, err = f.WriteAt(b, off)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
}

func TestATornLastFrameIsCutAtAnyByte(t *testing.T) {
	fs, all := crashedLog(t, small(), 5, func(i int) string { return strings.Repeat(fmt.Sprint(i), 50) })
	name := segmentName(testDir, 1)
	last := scan(t, fs).segments[0].end()
	first := last - int64(log.FrameBytes(50))
	for n := first; n < last; n++ {
		for what, rest := range map[string]byte{"zeros": 0, "garbage": 0xa5} {
			fs := fs.Clone()
			change(t, fs, name, n, bytes.Repeat([]byte{rest}, int(last-n)))
			r := scan(t, fs)
			want := all[:4]
			if n >= first+frameHeaderBytes+50 {
				want = all // padding is not checked
			}
			wantEntries(t, replayAll(t, r), want)
			rep := r.Report()
			if rep.Damages != 0 {
				t.Fatalf("cut at %d, %s: %+v", n, what, rep)
			}
			if len(want) == 4 && (n > first || rest != 0) && (rep.Torn.Offset != first || rep.Torn.FirstLSN != all[4].lsn || rep.Torn.Bytes == 0) {
				t.Fatalf("cut at %d, %s: torn tail %+v", n, what, rep.Torn)
			}
			if high := r.Highest(); high.LSN < all[3].lsn {
				t.Fatalf("highest %+v", high)
			}
			must(t, r.Repair())
			must(t, r.Repair())
			again := scan(t, fs.CrashClone(vfs.CrashOptions{}))
			if again.Report().Torn.File != "" {
				t.Fatalf("cut at %d, %s: still torn: %+v", n, what, again.Report().Torn)
			}
			wantEntries(t, replayAll(t, again), want)
		}
	}
}

func TestFramesBehindAHoleAreTornToo(t *testing.T) {
	// One batch of five frames, of which the second did not reach the disk.
	fs := vfs.NewMem()
	l := openLog(t, fs, small())
	var all []entry
	payload := string(log.AppendSamples(nil, make([]uint32, 66), make([]int64, 66), make([]float64, 66), nil))
	size := int64(log.FrameBytes(len(payload)))
	must(t, l.Reserve(context.Background(), 5*int(size)))
	l.mu.Lock() // which keeps the flusher from a batch of fewer
	for i := range 5 {
		l.mu.reserved -= size
		lsn := l.appendLocked(log.Frame{Type: log.FrameSamples, Shard: i, Tenant: 7, Payload: []byte(payload)}, size, false)
		all = append(all, entry{lsn, 1, i, payload})
	}
	l.mu.Unlock()
	must(t, l.Wait(context.Background(), l.LastLSN()))
	c := fs.CrashClone(vfs.CrashOptions{})
	start := int64(segmentHeaderBytes + log.FrameBytes(8))
	second := start + size
	change(t, c, segmentName(testDir, 1), second, make([]byte, size))
	r := scan(t, c)
	rep := r.Report()
	if rep.Damages != 0 || rep.Torn.Offset != second || rep.Torn.FirstLSN != all[1].lsn || rep.Torn.LastLSN != all[4].lsn ||
		rep.Torn.Bytes != 4*size || r.Highest().LSN != all[4].lsn {
		t.Fatalf("report %+v", rep)
	}
	wantEntries(t, replayAll(t, r), all[:1])
	wantCheck(t, c, fmt.Sprintf("note 000000000001.wal@%d: torn tail of %d bytes from LSN 3 on, nothing of it was acknowledged", second, 4*size))
	l = openLog(t, c, small())
	if l.LastLSN() <= all[4].lsn {
		t.Fatalf("LSN %d used again", l.LastLSN())
	}
	must(t, l.Close())
	wantCheck(t, c)
	wantEntries(t, replayAll(t, scan(t, c)), all[:1])
}

// Changing any byte of a log whose frames are recorded as synced loses the frame it
// belongs to, which is reported as damage; all other frames are read.
func TestAChangedByteCostsOneFrame(t *testing.T) {
	mem := vfs.NewMem()
	everyFrame(t, mem)
	fs := mem.CrashClone(vfs.CrashOptions{})
	all := replayAll(t, scan(t, fs))
	rng := rand.New(rand.NewSource(1))
	for id := uint64(1); id <= 2; id++ {
		name := segmentName(testDir, id)
		image := contents(t, fs, name)
		var seg *scannedSegment
		for _, s := range scan(t, fs).segments {
			if s.id == id {
				seg = s
			}
		}
		for off := int64(0); off < seg.end(); off++ {
			c := fs.Clone()
			change(t, c, name, off, []byte{image[off] ^ 1<<rng.Intn(8)})
			r, err := Scan(c, testDir, small())
			if err != nil {
				t.Fatalf("byte %d: %v", off, err)
			}
			rep := r.Report()
			got := replayAll(t, r)
			lost := 0
			for _, e := range all {
				if !slices.Contains(got, e) {
					lost++
				}
			}
			if len(got) != len(all)-lost || lost > 1 {
				t.Fatalf("segment %d, byte %d: %d of %d frames, report %+v", id, off, len(got), len(all), rep)
			}
			// Padding is not checked, and the last mark is not known to be synced.
			if lost == 1 && rep.Damages != 1 {
				t.Fatalf("segment %d, byte %d: a frame is lost, report %+v", id, off, rep)
			}
			if lost == 1 && (off < rep.Damage[0].Offset || off >= rep.Damage[0].Offset+rep.Damage[0].Bytes || rep.Damage[0].LastLSN == 0) {
				t.Fatalf("segment %d, byte %d: damage %+v", id, off, rep.Damage)
			}
			must(t, r.Repair())
			wantEntries(t, replayAll(t, scan(t, c)), got)
		}
	}
}

func TestADamagedSegmentIsPutAsideWhenReleased(t *testing.T) {
	fs := vfs.NewMem()
	everyFrame(t, fs)
	change(t, fs, segmentName(testDir, 1), 200, []byte("damage"))
	wantCheck(t, fs, "damage 000000000001.wal@96: 144 bytes are no frames, LSNs 2 to 2 are lost")
	l := openLog(t, fs, small())
	must(t, l.Release(l.Generation(), 43))
	must(t, l.Close())
	wantCheck(t, fs, "note 000000000001.bad@0: a damaged segment put aside, its samples are in blocks")
	names, err := fs.List(testDir)
	must(t, err)
	if !slices.Contains(names, "000000000001.bad") || slices.Contains(names, "000000000001.wal") {
		t.Fatalf("files %q", names)
	}
}

func TestAMissingSegmentIsDamage(t *testing.T) {
	payload := strings.Repeat("x", 1000)
	fs, all := crashedLog(t, small(), 50, func(int) string { return payload })
	segments := scan(t, fs).segments
	if len(segments) < 4 {
		t.Fatalf("%d segments", len(segments))
	}
	for i, s := range segments[:3] {
		c := fs.Clone()
		must(t, c.Remove(s.name))
		r := scan(t, c)
		rep := r.Report()
		if rep.Damages != 1 || rep.Damage[0].LastLSN != s.extents[0].last || i > 0 && rep.Damage[0].FirstLSN != s.extents[0].first {
			t.Fatalf("segment %d: %+v", i, rep.Damage)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(e entry) bool {
			return e.lsn >= s.extents[0].first && e.lsn <= s.extents[0].last
		})
		wantEntries(t, replayAll(t, r), want)
	}
	// One whose bytes are all gone is no spare segment to be used again.
	c := fs.Clone()
	size := segments[1].size
	change(t, c, segments[1].name, 0, bytes.Repeat([]byte{0x5a}, int(size)))
	l := openLog(t, c, small())
	must(t, l.Close())
	if got := contents(t, c, segments[1].name); got[0] != 0x5a {
		t.Fatal("a damaged segment was overwritten")
	}
}

func TestStaleFramesOfAReusedFileAreNotBelieved(t *testing.T) {
	fs, all := crashedLog(t, small(), 20, func(int) string { return strings.Repeat("x", 100) })
	// The file goes on as another segment: new header, old frames.
	old, name := segmentName(testDir, 1), segmentName(testDir, 77)
	c := fs.Clone()
	must(t, c.Rename(old, name))
	change(t, c, name, 0, segmentHeader{id: 77, recycled: true}.append(nil))
	r := scan(t, c)
	if rep := r.Report(); rep.Frames != 0 || rep.Damages != 0 || rep.Torn.File != "" {
		t.Fatalf("report %+v", rep)
	}
	// A power cut between the rename and the new header.
	c = fs.Clone()
	must(t, c.Rename(old, name))
	if rep := scan(t, c).Report(); rep.Frames != 0 || rep.Damages != 0 || rep.Torn.File != "" {
		t.Fatalf("report %+v", rep)
	}
	wantEntries(t, replayAll(t, scan(t, fs)), all)
}

func TestAHeaderOfAnotherVersionIsAnError(t *testing.T) {
	fs, _ := crashedLog(t, small(), 1, func(int) string { return "x" })
	b := segmentHeader{id: 1}.append(nil)
	b[8] = 2
	b = appendCRC(b[:28])
	change(t, fs, segmentName(testDir, 1), 0, b)
	if _, err := Scan(fs, testDir, small()); !errors.Is(err, ErrVersion) {
		t.Fatalf("scan: %v", err)
	}
	if err := Describe(&bytes.Buffer{}, fs, segmentName(testDir, 1)); !errors.Is(err, ErrVersion) {
		t.Fatalf("describe: %v", err)
	}
}

func appendCRC(b []byte) []byte {
	crc := encoding.Checksum(b)
	return append(b, byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24))
}

func TestAnEmptyOrMissingDirectoryIsAnEmptyLog(t *testing.T) {
	fs := vfs.NewMem()
	for range 2 {
		r := scan(t, fs)
		if r.Highest() != (log.Pos{}) || len(r.Generations()) != 0 || r.Report().Frames != 0 {
			t.Fatalf("report %+v", r.Report())
		}
		must(t, r.Repair())
		wantCheck(t, fs)
		must(t, fs.MkdirAll(testDir))
	}
	writeFile(t, fs, testDir+"/stranger.txt", []byte("x"))
	wantCheck(t, fs, "note stranger.txt@0: not a file of the log")
}

func TestReplayStopsWithTheFirstErrorOrTheContext(t *testing.T) {
	fs, all := crashedLog(t, small(), 200, func(int) string { return strings.Repeat("x", 300) })
	stop := errors.New("stop")
	r := scan(t, fs)
	err := r.Replay(context.Background(), 1, 4, func(shard int, f log.Frame) error {
		if f.LSN == all[100].lsn {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatalf("replay: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Replay(ctx, 1, 4, func(int, log.Frame) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Fatalf("replay: %v", err)
	}
}

func TestReplayReportsItsProgress(t *testing.T) {
	fs, _ := crashedLog(t, small(), 200, func(int) string { return strings.Repeat("x", 300) })
	var last, all int64
	o := small()
	o.Progress = func(done, total int64) {
		if done < last || done > total {
			t.Errorf("%d of %d bytes after %d", done, total, last)
		}
		last, all = done, total
	}
	r, err := Scan(fs, testDir, o)
	must(t, err)
	must(t, r.Replay(context.Background(), 1, 16, func(int, log.Frame) error { return nil }))
	if last != all || all != r.Report().Bytes || all == 0 {
		t.Fatalf("%d of %d bytes", last, all)
	}
}

// The strategy: any bytes are a segment between two good ones. Scanning,
// checking, describing and replaying never panic, whatever is there, and the
// frames of the good segments stay.
func FuzzSegment(f *testing.F) {
	payload := strings.Repeat("x", 1500)
	fs, _ := crashedLog(f, small(), 25, func(int) string { return payload })
	segments := scan(f, fs).segments
	name := segments[1].name
	image := contents(f, fs, name)
	f.Add(image)
	f.Add(image[:5000])
	f.Add([]byte{})
	f.Add(contents(f, fs, segments[0].name))
	mem := vfs.NewMem()
	everyFrame(f, mem)
	f.Add(contents(f, mem, segmentName(testDir, 2)))
	good := func(e entry) bool {
		return e.lsn <= segments[0].extents[0].last || e.lsn >= segments[2].extents[0].first
	}
	want := len(slices.DeleteFunc(replayAll(f, scan(f, fs)), func(e entry) bool { return !good(e) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := fs.Clone()
		must(t, c.Remove(name))
		writeFile(t, c, name, b)
		r, err := Scan(c, testDir, small())
		if errors.Is(err, ErrVersion) {
			return
		}
		must(t, err)
		n := 0
		for _, gen := range r.Generations() {
			must(t, r.Replay(context.Background(), gen, 1, func(_ int, f log.Frame) error {
				if good(entry{lsn: f.LSN}) && string(f.Payload) == payload {
					n++
				}
				return nil
			}))
		}
		if n < want && r.Report().Torn.File == "" {
			t.Fatalf("%d frames of %d in good segments", n, want)
		}
		must(t, Check(c, testDir, Options{}, func(string, int64, string, bool) {}))
		must(t, Describe(&bytes.Buffer{}, c, name))
		must(t, r.Repair())
	})
}

// A process that is killed repeatedly leaves only the frames of each run, not a
// pre-allocated segment.
func TestEachStartLeavesItsFramesOnly(t *testing.T) {
	fs, all := crashedLog(t, small(), 3, func(i int) string { return fmt.Sprint(i) })
	for range 20 {
		l := openLog(t, fs, small())
		lsn := put(t, l, 1, "more")
		must(t, l.Wait(context.Background(), lsn))
		all = append(all, entry{lsn, l.Generation(), 1, "more"})
		fs = fs.CrashClone(vfs.CrashOptions{})
	}
	wantEntries(t, replayAll(t, scan(t, fs)), all)
	names, err := fs.List(testDir)
	must(t, err)
	bytes := int64(0)
	for _, n := range names {
		info, err := fs.Stat(testDir + "/" + n)
		must(t, err)
		bytes += info.Size
	}
	if most := int64(6 * minSegmentBytes); bytes > most { // the last life's, spares and pool included
		t.Errorf("%d files of %d bytes, at most %d expected", len(names), bytes, most)
	}
}
