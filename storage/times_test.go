package storage

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

var timesNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// allTimes returns the times of all samples, as "labels: times", sorted.
func allTimes(t *testing.T, db *DB) (rows, warnings []string) {
	t.Helper()
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	all := model.TimeRange{Min: math.MinInt64, Max: math.MaxInt64}
	set, err := v.Select(context.Background(), model.DefaultTenant, all, labels.MustNewMatcher(labels.MatchNotEqual, "__name__", ""))
	if err != nil {
		t.Fatal(err)
	}
	for i := range set.Len() {
		var s model.Samples
		if err := set.At(i).Samples(context.Background(), all, &s); err != nil {
			t.Fatal(err)
		}
		if s.Len() > 0 {
			rows = append(rows, fmt.Sprint(set.At(i).Labels, ": ", s.T))
		}
	}
	for _, w := range set.Warnings() {
		warnings = append(warnings, w.Error())
	}
	slices.Sort(rows)
	return rows, warnings
}

func TestTimesThatNoSampleCanHaveAreRefused(t *testing.T) {
	ctx := context.Background()
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: vfs.NewManualClock(timesNow), Seed: 1, WALSegmentBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	now := timesNow.UnixMilli()
	for _, c := range []struct {
		t, st  int64
		reason Reason // empty = taken
	}{
		{math.MinInt64, 0, ReasonBadTime},
		{-9223372036854775000, 0, ReasonBadTime},
		{model.MinTime - 1, 0, ReasonBadTime},
		{model.MinTime, 0, ""},
		{0, 0, ""},
		{now, 0, ""},
		{now, model.MinTime, ""},
		{now, model.MinTime - 1, ReasonBadTime},
		{now, math.MinInt64, ReasonBadTime},
		{now, math.MaxInt64, ReasonBadTime},
		{now + 3*model.DayMs, 0, ReasonTooNew},
		{model.MaxTime, 0, ReasonTooNew},
		{model.MaxTime + 1, 0, ReasonBadTime},
		{math.MaxInt64, 0, ReasonBadTime},
	} {
		for _, kind := range []string{"float", "histogram", "exemplar"} {
			if kind == "exemplar" && c.st != 0 {
				continue
			}
			b := db.NewBatch("test", model.DefaultTenant)
			ref, err := b.Resolve(model.Hash{Hi: 1}, labels.FromStrings("__name__", "bad", "a", "x"))
			if err != nil {
				t.Fatal(err)
			}
			switch kind {
			case "float":
				b.Float(ref, c.t, c.st, 1)
			case "histogram":
				b.Histogram(ref, c.t, c.st, model.Histogram{Int: goodHistogram()})
			case "exemplar":
				b.Exemplar(ref, model.Exemplar{T: c.t, V: 1})
			}
			r, err := b.Commit(ctx)
			if err != nil {
				t.Fatal(err)
			}
			got := Reason("")
			if len(r.Rejected) > 0 {
				got = r.Rejected[0].Reason
			}
			if got != c.reason {
				t.Errorf("%s at %d, start %d: %q, want %q", kind, c.t, c.st, got, c.reason)
			}
			if got == ReasonBadTime && (!strings.HasPrefix(r.Rejected[0].Detail, "out of bounds: ") || !strings.Contains(r.Rejected[0].Series, `bad`)) {
				t.Errorf("%s at %d: %+v", kind, c.t, r.Rejected[0])
			}
		}
	}
	if _, err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprintf(`{__name__="bad", a="x"}: [%d 0 %d]`, model.MinTime, now)}
	if got, _ := allTimes(t, db); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestBoundsOfTimeAtTheEndsOfInt64(t *testing.T) {
	for _, c := range []struct{ now, retention, floor, want int64 }{
		{0, 0, math.MinInt64, model.MinTime},
		{math.MinInt64, math.MaxInt64, math.MinInt64, model.MinTime},
		{math.MaxInt64, 1, math.MinInt64, math.MaxInt64 - 1},
		{1000, 10, 995, 995},
		{1000, 10, 5, 990},
	} {
		if got := oldest(c.now, c.retention, c.floor); got != c.want {
			t.Errorf("oldest(%d, %d, %d) is %d, want %d", c.now, c.retention, c.floor, got, c.want)
		}
	}
	for _, c := range []struct{ now, future, want int64 }{
		{1000, 10, 1010}, {1000, math.MaxInt64, model.MaxTime}, {math.MinInt64, 1, math.MinInt64 + 1}, {math.MaxInt64, 1, model.MaxTime},
	} {
		if got := newest(c.now, c.future); got != c.want {
			t.Errorf("newest(%d, %d) is %d, want %d", c.now, c.future, got, c.want)
		}
	}
}

// copyTestdata returns a file system with a directory of testdata as "data".
func copyTestdata(t *testing.T, name string) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	root := os.DirFS(path.Join("testdata", name))
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return mem.MkdirAll(path.Join("data", p))
		}
		b, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		f, err := mem.Create(path.Join("data", p))
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return mem
}

// The directory was written by a version that took any time and any histogram:
// blocks and log hold samples from -2^63 ms on, up to the year 2318, and
// histograms whose buckets have no index. They are hidden, do not keep others
// from being merged, and go.
func TestExtremeSamplesOfAnEarlierVersion(t *testing.T) {
	ctx := context.Background()
	mem := copyTestdata(t, "extreme-times")
	opts := Options{Clock: vfs.NewManualClock(timesNow), Seed: 1, WALSegmentBytes: 16 << 10}
	db, err := openChecked(t, ctx, mem, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	now := timesNow.UnixMilli()
	var good, hists []int64
	for k := range int64(3) {
		hists = append(hists, now+k)
		for i := range int64(20) {
			good = append(good, now+k*100_000+i*1000)
		}
	}
	own := []int64{model.MinTime, 0, now, model.MaxTime}
	others := []int64{model.MinTime, 0, now}
	want := []string{
		fmt.Sprint(`{__name__="good"}: `, good),
		fmt.Sprint(`{__name__="h"}: `, hists),
		fmt.Sprint(`{__name__="m", s="a"}: `, own),
		fmt.Sprint(`{__name__="m", s="b"}: `, others),
		fmt.Sprint(`{__name__="m", s="c"}: `, others),
	}
	check := func(when string, warn int) {
		t.Helper()
		got, warnings := allTimes(t, db)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if len(warnings) != warn {
			t.Errorf("%s: %d warnings %q, want %d", when, len(warnings), warnings, warn)
		}
	}
	check("opened", 2) // of the histograms in each block
	refused := db.Recovery().Refused
	if len(refused) != 2 || refused[0].Reason != ReasonBadHistogram || refused[0].Count != 2 || refused[1].Reason != ReasonBadTime || refused[1].Count == 0 {
		t.Errorf("replay left out %+v", refused)
	}
	if _, err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	check("flushed", 2)
	if _, err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	check("merged", 0)
	for _, b := range db.manifest.State().Blocks {
		if !model.ValidTime(b.MinTime) || !model.ValidTime(b.MaxTime) {
			t.Errorf("block %s still has times from %d to %d", b.Name, b.MinTime, b.MaxTime)
		}
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if db, err = openChecked(t, ctx, mem, "data", opts); err != nil {
		t.Fatal(err)
	}
	check("opened again", 0)
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
