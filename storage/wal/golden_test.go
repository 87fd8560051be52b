package wal

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// testHistograms are histograms of every kind.
func testHistograms() []model.Histogram {
	i := &histogram.Histogram{
		Schema: 3, ZeroThreshold: 1e-128, Count: 20, Sum: -1.5, ZeroCount: 2,
		PositiveSpans: []histogram.Span{{Offset: -3, Length: 2}, {Offset: 4, Length: 1}}, PositiveBuckets: []int64{3, 4, -2},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []int64{3},
	}
	f := i.ToFloat(nil)
	f.CounterResetHint = histogram.GaugeType
	custom := &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 3, Sum: 7,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{1, 1}, CustomValues: []float64{1, 2.5},
	}
	stale := &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)}
	return []model.Histogram{{Int: i}, {Float: f}, {Int: custom}, {Int: stale}, {Float: stale.ToFloat(nil)}}
}

// everyFrame writes a log of two generations with frames of every type.
func everyFrame(t testing.TB, fs vfs.FS) {
	t.Helper()
	ctx := context.Background()
	l := openLog(t, fs, small())
	add := func(shard int, typ log.FrameType, payload []byte) {
		t.Helper()
		done := func() {}
		if typ.OfDeletion() {
			var err error
			done, err = l.ReserveDelete(ctx, log.FrameBytes(len(payload)))
			must(t, err)
		} else {
			must(t, l.Reserve(ctx, log.FrameBytes(len(payload))))
		}
		lsn := l.Append(shard, 0, typ, payload)
		done()
		must(t, l.Wait(ctx, lsn))
	}
	add(3, log.FrameSeries, encoded(log.AppendSeries(nil, []log.SeriesDef{
		{Slot: 5, ID: model.Identity{Hi: 1, Lo: 3}, Labels: labels.FromStrings("__name__", "up", "instance", "a:9100", "job", "node")},
		{Slot: 6, ID: model.Identity{Hi: 2, Lo: 19}, Labels: labels.FromStrings("__name__", "up", "instance", "b:9100", "job", "node")},
	})))
	add(3, log.FrameSamples, log.AppendSamples(nil, []uint32{5, 6}, []int64{1_700_000_000_000, 1_700_000_000_015}, []float64{1, 0.25}, nil))
	add(3, log.FrameSamples, log.AppendSamples(nil, []uint32{5, 6}, []int64{1_700_000_015_000, 1_700_000_015_000}, []float64{2, 3}, []int64{1_600_000_000_000, 0}))
	add(3, log.FrameHistograms, encoded(log.AppendHistograms(nil, []uint32{5, 6}, []int64{1_700_000_000_000, 1_700_000_000_000}, nil, testHistograms()[:2])))
	add(3, log.FrameExemplars, encoded(log.AppendExemplars(nil, []uint32{5}, []model.Exemplar{{T: 1_700_000_000_000, V: 0.5, Labels: labels.FromStrings("trace_id", "abc")}})))
	add(0, log.FrameMetadata, log.AppendMetadata(nil, map[string]model.Metadata{"up": {Type: "gauge", Help: "Is it up?"}}))
	add(15, log.FrameTombstone, encoded(log.AppendTombstone(nil, log.Tombstone{Range: model.TimeRange{Min: 0, Max: 1000},
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "job", "no.*")}})))
	add(15, log.FrameDeletion, encoded(log.AppendDeletion(nil, 1, log.Tombstone{Range: model.TimeRange{Min: 0, Max: 1000},
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "job", "node")}})))
	add(0, log.FrameDeletionEnd, log.AppendDeletionEnd(nil, 1))
	must(t, l.PrepareRotate(ctx))
	_, _, err := l.Rotate()
	must(t, err)
	must(t, l.Wait(ctx, l.LastLSN()))
	must(t, l.Release(1, 42))
	must(t, l.Close())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (rewrite it with -update if that is meant):\n%s", file, got)
	}
}

func contents(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	must(t, err)
	return b
}

func TestGoldenSegments(t *testing.T) {
	fs := vfs.NewMem()
	everyFrame(t, fs)
	for id := uint64(1); id <= 2; id++ {
		name := segmentName(testDir, id)
		golden(t, fmt.Sprintf("segment%d.wal", id), bytes.TrimRight(contents(t, fs, name), "\x00"))
		var b bytes.Buffer
		must(t, Describe(&b, fs, name))
		golden(t, fmt.Sprintf("segment%d.txt", id), b.Bytes())
	}
}

// Files of the first version stay readable.
func TestReadsGoldenFiles(t *testing.T) {
	fs := vfs.NewMem()
	must(t, fs.MkdirAll(testDir))
	for id := uint64(1); id <= 2; id++ {
		b, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("segment%d.wal", id)))
		must(t, err)
		writeFile(t, fs, segmentName(testDir, id), append(b, make([]byte, 8)...))
	}
	r := scan(t, fs)
	if rep := r.Report(); rep.Damages != 0 || rep.Torn.File != "" || rep.Edit != 42 || fmt.Sprint(r.Generations()) != "[1 2]" {
		t.Fatalf("report %+v", rep)
	}
	if n := len(replayAll(t, r)); n != 9 {
		t.Fatalf("%d frames", n)
	}
	wantCheck(t, fs)
}

func writeFile(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name)
	must(t, err)
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	must(t, fs.SyncDir(path.Dir(name)))
}

// wantCheck runs Check and compares its findings, one per line.
func wantCheck(t testing.TB, fs vfs.FS, want ...string) {
	t.Helper()
	var got []string
	must(t, Check(fs, testDir, Options{}, func(file string, off int64, what string, note bool) {
		kind := "damage"
		if note {
			kind = "note"
		}
		got = append(got, fmt.Sprintf("%s %s@%d: %s", kind, path.Base(file), off, what))
	}))
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("check reports\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestGoldenOrderOfFileOperations(t *testing.T) {
	ctx := context.Background()
	fault := vfs.NewFault(vfs.NewMem())
	fault.Count(vfs.MutatingOps)
	// Spare segments are made concurrently with other work. Here each waits for
	// its turn before its file is created, so that the order is deterministic.
	turn := make(chan struct{})
	spare := func(o vfs.Op) bool { return o.Kind == vfs.OpCreate && o.Name != segmentName(testDir, 1) }
	fault.SetHook(func(o vfs.Op) error {
		if spare(o) {
			<-turn
		}
		return nil
	})
	var b strings.Builder
	step := func(name string, do func()) {
		fault.Record(true)
		do()
		fmt.Fprintf(&b, "# %s\n", name)
		for _, o := range fault.Log() {
			if !spare(o) { // it may have begun to wait in an earlier step
				fmt.Fprintln(&b, o)
			}
		}
	}
	o := small()
	o.SegmentBytes, o.PendingBytes = 64<<10, 1000 // one spare segment is enough
	var l *Log
	step("open", func() { l = openLog(t, fault, o) })
	step("a spare segment", func() { turn <- struct{}{}; must(t, l.PrepareRotate(ctx)) })
	step("two batches, each durable before it is acknowledged", func() {
		must(t, l.Wait(ctx, put(t, l, 0, "one")))
		must(t, l.Wait(ctx, put(t, l, 0, "two")))
	})
	step("rotate", func() {
		_, _, err := l.Rotate()
		must(t, err)
		must(t, l.Wait(ctx, l.LastLSN()))
	})
	step("a spare segment", func() { turn <- struct{}{}; must(t, l.PrepareRotate(ctx)) })
	step("release", func() { must(t, l.Release(2, 1)) })
	step("close", func() { must(t, l.Close()) })
	golden(t, "operations.txt", []byte(b.String()))
}
