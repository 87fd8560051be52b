package wal

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testDir  = "data/wal"
	testList = "data/SEGMENTS"
)

// small are options under which a log goes through many segments quickly.
func small() Options {
	return Options{SegmentBytes: minSegmentBytes, Clock: vfs.NewManualClock(time.UnixMilli(1_700_000_000_000))}
}

// listed is small with a list of segments.
func listed() Options {
	o := small()
	o.ListName = testList
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openLog scans and opens the log in a file system; the test ends with it
// closed.
func openLog(t testing.TB, fs vfs.FS, o Options) *Log {
	t.Helper()
	must(t, fs.MkdirAll("data"))
	must(t, fs.SyncDir(""))
	r, err := Scan(fs, testDir, o)
	must(t, err)
	l, err := Open(fs, testDir, o, log.Pos{}, r)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// put appends one frame without waiting for it.
func put(t testing.TB, l *Log, shard int, payload string) uint64 {
	t.Helper()
	must(t, l.Reserve(context.Background(), log.FrameBytes(len(payload))))
	return l.Append(shard, 7, log.FrameSamples, []byte(payload))
}

// prepared returns when the preparer has made every segment it wants to have
// ready. PrepareRotate returns at the first.
func prepared(l *Log) {
	for {
		l.mu.Lock()
		done := l.mu.budget.wanted() <= len(l.mu.spares)
		l.mu.Unlock()
		if done {
			return
		}
		runtime.Gosched()
	}
}

// entry is a frame as tests compare it.
type entry struct {
	lsn, gen uint64
	shard    int
	payload  string
}

func (e entry) String() string {
	return fmt.Sprintf("%d/%d/%d:%.20q", e.lsn, e.gen, e.shard, e.payload)
}

// replayAll returns the frames of a log in the order of their LSNs, and checks
// that those of a shard came in order.
func replayAll(t testing.TB, r *Recovery) []entry {
	t.Helper()
	var all []entry
	for _, gen := range r.Generations() {
		var shards [model.Shards][]entry
		must(t, r.Replay(context.Background(), gen, 3, func(shard int, f log.Frame) error {
			if f.Generation != gen || f.Shard != shard {
				return fmt.Errorf("frame %d of generation %d, shard %d in replay of %d, %d", f.LSN, f.Generation, f.Shard, gen, shard)
			}
			shards[shard] = append(shards[shard], entry{f.LSN, f.Generation, f.Shard, string(f.Payload)})
			return nil
		}))
		all = append(all, inOrder(t, shards[:])...)
	}
	return all
}

// inOrder merges the frames of the shards by LSN.
func inOrder(t testing.TB, shards [][]entry) []entry {
	t.Helper()
	var all []entry
	for {
		best := -1
		for i, s := range shards {
			if len(s) > 0 && (best < 0 || s[0].lsn < shards[best][0].lsn) {
				best = i
			}
		}
		if best < 0 {
			return all
		}
		if n := len(all); n > 0 && all[n-1].lsn >= shards[best][0].lsn {
			t.Fatalf("frame %v after %v", shards[best][0], all[n-1])
		}
		all = append(all, shards[best][0])
		shards[best] = shards[best][1:]
	}
}

func scan(t testing.TB, fs vfs.FS) *Recovery {
	t.Helper()
	r, err := Scan(fs, testDir, small())
	must(t, err)
	return r
}

func wantEntries(t testing.TB, got, want []entry) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("frame %d of %d (want %d): got %v, want %v", i, len(got), len(want), got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
		}
	}
}

// encoded returns b and panics on err.
func encoded(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
