package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

func testSegmentList() segmentList {
	return segmentList{synced: 99, segments: []listedSegment{
		{id: 3, gen: 2, bytes: 4096, firstLSN: 11, lastLSN: 20, firstMs: 1_700_000_000_000, lastMs: 1_700_000_060_000},
		{id: 5, gen: 3, bytes: 216, firstLSN: 21, lastLSN: 22, firstMs: 1_700_000_060_000, lastMs: 1_700_000_061_000},
	}}
}

func TestSegmentListDescribedIsGolden(t *testing.T) {
	fs := vfs.NewMem()
	must(t, fs.MkdirAll("data"))
	l := testSegmentList()
	must(t, writeSegmentList(fs, testList, &l))
	var out bytes.Buffer
	must(t, DescribeList(&out, fs, testList))
	fmt.Fprintf(&out, "\n% x\n", contents(t, fs, testList))
	golden(t, "segments.txt", out.Bytes())
	got, err := readSegmentList(fs, testList)
	must(t, err)
	if !reflect.DeepEqual(got, l) {
		t.Errorf("read %+v, written %+v", got, l)
	}
}

func TestSegmentListRefusesWhatItCannotRead(t *testing.T) {
	for name, change := range map[string]func(l *segmentList){
		"id 0":            func(l *segmentList) { l.segments[0].id = 0 },
		"no generation":   func(l *segmentList) { l.segments[0].gen = 0 },
		"ids not rising":  func(l *segmentList) { l.segments[1].id = 3 },
		"no frames":       func(l *segmentList) { l.segments[0].bytes = segmentHeaderBytes },
		"not aligned":     func(l *segmentList) { l.segments[0].bytes = 4097 },
		"too long":        func(l *segmentList) { l.segments[0].bytes = maxSegmentBytes + 8 },
		"LSNs backwards":  func(l *segmentList) { l.segments[0].lastLSN = 1 },
		"times backwards": func(l *segmentList) { l.segments[0].lastMs = 1 },
	} {
		l := testSegmentList()
		change(&l)
		if err := writeSegmentList(vfs.NewMem(), "SEGMENTS", &l); err == nil {
			t.Errorf("%s: written", name)
		}
		if _, err := decodeSegmentList(l.append(nil)); !errors.Is(err, log.ErrCorrupt) {
			t.Errorf("%s: decoded with %v", name, err)
		}
	}
	l := testSegmentList()
	b := l.append(nil)
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 4
		if _, err := decodeSegmentList(c); err == nil {
			t.Errorf("byte %d changed, and decoded", i)
		}
		if _, err := decodeSegmentList(b[:i]); err == nil {
			t.Errorf("cut at %d, and decoded", i)
		}
	}
}

func FuzzSegmentList(f *testing.F) {
	l := testSegmentList()
	f.Add(l.append(nil))
	f.Add((&segmentList{}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeSegmentList(b)
		if err != nil {
			if !errors.Is(err, log.ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("error of no known kind: %v", err)
			}
			return
		}
		if err := l.validate(); err != nil {
			t.Fatalf("decoded what cannot be encoded: %v", err)
		}
		if again := l.append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

// lossOf scans a log and returns its loss.
func lossOf(t testing.TB, fs vfs.FS) *log.Loss {
	t.Helper()
	r, err := Scan(fs, testDir, listed())
	must(t, err)
	must(t, r.Report().ListErr)
	return r.Loss(0)
}

// twoSegments returns a log of two generations in segments 1 and 2, killed after
// the list of segments has them both, and the frames in it. If recycled, both
// are files that held other frames before.
func twoSegments(t testing.TB, recycled bool) (*vfs.Mem, []entry) {
	t.Helper()
	mem := vfs.NewMem()
	must(t, mem.MkdirAll("data"))
	must(t, mem.SyncDir(""))
	o := listed()
	ctx := context.Background()
	l, err := Open(mem, testDir, o, log.Pos{}, nil)
	must(t, err)
	var all []entry
	fill := func(n int) {
		for i := range n {
			p := strings.Repeat(fmt.Sprint(i), 100)
			lsn := put(t, l, i%16, p)
			must(t, l.Wait(ctx, lsn))
			all = append(all, entry{lsn, l.Generation(), i % 16, p})
		}
	}
	rotate := func() {
		must(t, l.PrepareRotate(ctx))
		_, _, err := l.Rotate()
		must(t, err)
	}
	if recycled {
		for range 4 {
			fill(60)
			rotate()
			must(t, l.Release(l.Generation(), 1))
			prepared(l)
		}
		all = nil
	}
	fill(12)
	rotate()
	fill(12)
	must(t, l.listing.write())
	killed := mem.Clone()
	must(t, l.Close())
	return killed, all
}

func segmentsOf(t testing.TB, fs vfs.FS) (ids []uint64) {
	t.Helper()
	l, err := readSegmentList(fs, testList)
	must(t, err)
	for _, s := range l.segments {
		ids = append(ids, s.id)
	}
	if len(ids) != 2 {
		t.Fatalf("listed: %+v", l)
	}
	return ids
}

func truncate(t testing.TB, fs vfs.FS, name string, size int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	must(t, err)
	must(t, f.Truncate(size))
	must(t, f.Close())
}

// Listed frames that are missing, for whatever reason, are a loss. Accepting the
// loss allows the remaining log to be opened, once.
func TestLostSegmentsAreNoticed(t *testing.T) {
	remove := func(t *testing.T, fs *vfs.Mem, ids ...uint64) {
		for _, id := range ids {
			must(t, fs.Remove(segmentName(testDir, id)))
		}
	}
	for _, recycled := range []bool{false, true} {
		for name, tc := range map[string]struct {
			harm func(t *testing.T, fs *vfs.Mem, a, b uint64, all []entry)
			want int // lost segments
			left int // frames
		}{
			"the directory is removed": {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) {
				names, err := fs.List(testDir)
				must(t, err)
				for _, n := range names {
					must(t, fs.Remove(testDir+"/"+n))
				}
				must(t, fs.Remove(testDir))
			}, 2, 0},
			"the directory is emptied": {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) { remove(t, fs, a, b) }, 2, 0},
			"the first is removed":     {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) { remove(t, fs, a) }, 1, 12},
			"the last is removed":      {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) { remove(t, fs, b) }, 1, 12},
			"the first is cut":         {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) { truncate(t, fs, segmentName(testDir, a), 500) }, 1, 14},
			"the last is cut":          {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) { truncate(t, fs, segmentName(testDir, b), 500) }, 1, 14},
			"the last is cut and has its length": {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) {
				truncate(t, fs, segmentName(testDir, b), 500)
				truncate(t, fs, segmentName(testDir, b), minSegmentBytes)
			}, 1, 14},
			"the last is empty": {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) { truncate(t, fs, segmentName(testDir, b), 0) }, 1, 12},
			"they are swapped": {func(t *testing.T, fs *vfs.Mem, a, b uint64, _ []entry) {
				must(t, fs.Rename(segmentName(testDir, a), testDir+"/x"))
				must(t, fs.Rename(segmentName(testDir, b), segmentName(testDir, a)))
				must(t, fs.Rename(testDir+"/x", segmentName(testDir, b)))
			}, 2, 0},
		} {
			t.Run(fmt.Sprintf("%s, recycled %v", name, recycled), func(t *testing.T) {
				fs, all := twoSegments(t, recycled)
				ids := segmentsOf(t, fs)
				if loss := lossOf(t, fs); loss != nil {
					t.Fatalf("before: %v", loss)
				}
				tc.harm(t, fs, ids[0], ids[1], all)
				r, err := Scan(fs, testDir, listed())
				must(t, err)
				loss := r.Loss(0)
				if loss == nil || len(loss.Segments) != tc.want {
					t.Fatalf("loss %v", loss)
				}
				for _, s := range loss.Segments {
					if !strings.Contains(loss.Error(), idString(s.ID)+".wal") || s.FromMs < 1_700_000_000_000 || s.ToMs < s.FromMs {
						t.Errorf("%v: %+v", loss, s)
					}
				}
				if gens := r.Loss(loss.Segments[len(loss.Segments)-1].Generation + 1); gens != nil {
					t.Errorf("lost though it was released: %v", gens)
				}
				if l, err := Open(fs, testDir, listed(), log.Pos{}, nil); !errors.As(err, new(*log.Loss)) {
					t.Fatalf("opened: %v, %v", l, err)
				}
				high := r.Highest() // which the MANIFEST keeps from now on
				must(t, r.AcceptLoss())
				fs = fs.Clone()
				if again := lossOf(t, fs); again != nil {
					t.Fatalf("accepted, and still: %v", again)
				}
				l, err := Open(fs, testDir, listed(), high, nil)
				must(t, err)
				if l.Generation() <= high.Generation || l.LastLSN() <= high.LSN {
					t.Errorf("generation %d and LSN %d after %+v", l.Generation(), l.LastLSN(), high)
				}
				must(t, l.Close())
				r, err = Scan(fs, testDir, listed())
				must(t, err)
				if got := replayAll(t, r); len(got) != tc.left {
					t.Errorf("%d frames are left, want %d: %+v", len(got), tc.left, r.Report())
				}
				if loss := r.Loss(0); loss != nil {
					t.Errorf("after the next start: %v", loss)
				}
			})
		}
	}
}

// A changed byte anywhere in the listed segments is damage, never a loss: the
// log opens, reports it, and keeps all other frames.
func TestAChangedByteIsNoLoss(t *testing.T) {
	for _, recycled := range []bool{false, true} {
		fs, all := twoSegments(t, recycled)
		rng := rand.New(rand.NewSource(1))
		l, err := readSegmentList(fs, testList)
		must(t, err)
		for _, s := range l.segments {
			name := segmentName(testDir, s.id)
			image := contents(t, fs, name)
			for off := int64(0); off < s.bytes; off++ {
				c := fs.Clone()
				change(t, c, name, off, []byte{image[off] ^ 1<<rng.Intn(8)})
				r, err := Scan(c, testDir, listed())
				if errors.Is(err, ErrVersion) && off < segmentHeaderBytes {
					continue
				}
				must(t, err)
				if loss := r.Loss(0); loss != nil {
					t.Fatalf("recycled %v, segment %d, byte %d: %v", recycled, s.id, off, loss)
				}
				got := replayAll(t, r)
				if len(got) < len(all)-1 {
					t.Fatalf("recycled %v, segment %d, byte %d: %d of %d frames: %+v", recycled, s.id, off, len(got), len(all), r.Report())
				}
				if rep := r.Report(); len(got) < len(all) && (rep.Damages == 0 || rep.Torn.File != "") {
					t.Fatalf("recycled %v, segment %d, byte %d: an acknowledged frame is gone, and %+v", recycled, s.id, off, rep)
				}
			}
		}
	}
}

// Segments without frames, foreign files, and a log without a list are no loss.
func TestWhatWasNeverListedIsNoLoss(t *testing.T) {
	fs, all := twoSegments(t, false)
	ids := segmentsOf(t, fs)
	must(t, fs.Remove(segmentName(testDir, ids[1]+1))) // prepared and never used
	f, err := fs.Create(segmentName(testDir, ids[1]+7))
	must(t, err)
	_, err = f.WriteAt(segmentHeader{id: 3}.append(nil), 0)
	must(t, err)
	must(t, f.Close())
	if loss := lossOf(t, fs); loss != nil {
		t.Error(loss)
	}
	old := fs.Clone()
	must(t, old.Remove(testList))
	must(t, old.Remove(segmentName(testDir, ids[1])))
	if loss := lossOf(t, old); loss != nil {
		t.Error(loss)
	}
	l := openLog(t, old, listed())
	must(t, l.Close())
	if list, err := readSegmentList(old, testList); err != nil || len(list.segments) != 1 || list.segments[0].id != ids[0] {
		t.Errorf("list made by the first start with one: %+v, %v", list, err)
	}
	damaged := fs.Clone()
	change(t, damaged, testList, 30, []byte{0xff})
	r, err := Scan(damaged, testDir, listed())
	must(t, err)
	if !errors.Is(r.Report().ListErr, log.ErrCorrupt) || r.Loss(0) != nil {
		t.Errorf("damaged list: %v, %v", r.Report().ListErr, r.Loss(0))
	}
	wantEntries(t, replayAll(t, r), all)
	change(t, damaged, testList, 8, []byte{9})
	if _, err := Scan(damaged, testDir, listed()); !errors.Is(err, ErrVersion) {
		t.Errorf("list of an unknown version: %v", err)
	}
}

// In every mode the list claims only frames that survive a power cut.
func TestPowerCutsInEveryModeAreNoLoss(t *testing.T) {
	for _, mode := range []Mode{Always, Interval(50 * time.Millisecond), Off} {
		t.Run(mode.String(), func(t *testing.T) {
			o := listed()
			o.Sync = mode
			clock := o.Clock.(*vfs.ManualClock)
			mem := vfs.NewMem()
			fault := vfs.NewFault(mem)
			fault.Count(vfs.MutatingOps)
			rng := rand.New(rand.NewSource(3))
			var mu sync.Mutex
			states := 0
			fault.SetHook(func(op vfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				clock.Advance(10 * time.Millisecond)
				for _, c := range []vfs.CrashOptions{{}, {Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng}, {Mode: vfs.CrashTorn, Rand: rng}} {
					r, err := Scan(mem.CrashClone(c), testDir, listed())
					if err != nil || r.Loss(0) != nil {
						t.Errorf("power cut (%v) before %v: %v, %v", c.Mode, op, err, r.Loss(0))
					}
					states++
				}
				return nil
			})
			var g ledger
			must(t, workload(fault, &g, rand.New(rand.NewSource(4)), o, 120))
			fault.SetHook(nil)
			if l, err := readSegmentList(mem, testList); err != nil || l.synced == 0 {
				t.Errorf("list %+v, %v", l, err)
			}
			t.Logf("%d states", states)
		})
	}
}

// A failure to write the list does not stop the log: samples are accepted and
// segments released, and the list is written once that is possible again.
func TestAListThatCannotBeWrittenStopsNothing(t *testing.T) {
	for _, fail := range []error{syscall.ENOSPC, syscall.EPERM} {
		mem := vfs.NewMem()
		fault := vfs.NewFault(mem)
		failing := true
		var mu sync.Mutex
		fault.SetHook(func(op vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if failing && strings.HasPrefix(op.Name, testList) && op.Kind == vfs.OpCreate {
				return fail
			}
			return nil
		})
		must(t, mem.MkdirAll("data"))
		l, err := Open(fault, testDir, listed(), log.Pos{}, nil)
		must(t, err)
		ctx := context.Background()
		for range 3 {
			must(t, l.Wait(ctx, put(t, l, 1, strings.Repeat("x", 500))))
			must(t, l.PrepareRotate(ctx))
			_, _, err := l.Rotate()
			must(t, err)
			must(t, l.Release(l.Generation(), 1))
		}
		if st := l.List(); !errors.Is(st.Err, fail) || st.Failures == 0 {
			t.Errorf("%v: status %+v", fail, st)
		}
		mu.Lock()
		failing = false
		mu.Unlock()
		must(t, l.Wait(ctx, put(t, l, 1, "y")))
		must(t, l.listing.write())
		if st := l.List(); st.Err != nil {
			t.Errorf("%v: status %+v", fail, st)
		}
		if loss := lossOf(t, mem.Clone()); loss != nil {
			t.Error(loss)
		}
		if list, err := readSegmentList(mem, testList); err != nil || len(list.segments) != 1 {
			t.Errorf("%v: list %+v, %v", fail, list, err)
		}
		must(t, l.Close())
	}
}

// A growing segment is listed at its first sync, and again when a period has
// passed.
func TestListFollowsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		o := listed()
		clock := o.Clock.(*vfs.ManualClock)
		l := openLog(t, mem, o)
		f := func(want uint64) {
			t.Helper()
			synctest.Wait() // the loop has nothing to do until the clock moves
			list, err := readSegmentList(mem, testList)
			must(t, err)
			if len(list.segments) != 1 || list.segments[0].lastLSN != want {
				t.Errorf("listed segments %+v, want one up to LSN %d", list.segments, want)
			}
		}
		must(t, l.Wait(t.Context(), put(t, l, 1, "first")))
		f(2)
		must(t, l.Wait(t.Context(), put(t, l, 1, "second")))
		f(2)
		clock.Advance(listEvery - 1)
		f(2)
		clock.Advance(1)
		f(4) // with the mark of an idle log
	})
}
