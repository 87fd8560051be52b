package block

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// forge writes a block of two days of hours around the checks of the Writer.
func forge(t *testing.T, act func(w *Writer)) *Block {
	t.Helper()
	fs := vfs.NewMem()
	w, err := Create(objstore.NewDir(fs, "data"), rollupMeta(Hour, 2), WriterOptions{})
	must(t, err)
	must(t, w.Series(0, model.Identity{}, labels.FromStrings(MetricName, "m")))
	act(w)
	info, err := w.Finish()
	must(t, err)
	return openTest(t, fs, info, nil)
}

// What a Writer refuses is found by a check if it is in a file all the same.
func TestCheckFindsRowsThatNoWriterWrites(t *testing.T) {
	const hour = int64(Hour)
	at := func(n int64) int64 { return firstDay - 1 + n*hour }
	add := func(w *Writer, end int64, n int) *model.Buckets {
		appendBucket(&w.pending.buckets, end, hour, n, 5, 1000, func() float64 { return 1 })
		return &w.pending.buckets
	}
	for want, act := range map[string]func(w *Writer){
		"contradict each other": func(w *Writer) { add(w, at(3), 1).FirstV[0] = 2 },
		"overlap": func(w *Writer) {
			add(w, at(3), 2)
			w.flushBuckets()
			add(w, at(3), 3)
		},
		"outside of the days of the block": func(w *Writer) { add(w, at(50), 2) },
		"not for whole days":               func(w *Writer) { w.pending.standIn = standIn{model.TimeRange{Min: firstDay, Max: firstDay + hour}, 5} },
	} {
		found := ""
		b := forge(t, act)
		must(t, b.Check(context.Background(), func(_ int64, what string) { found += what + "\n" }))
		if !strings.Contains(found, want) {
			t.Errorf("check finds %q, want %q", found, want)
		}
		if want != "overlap" {
			continue
		}
		r := b.Reader()
		defer r.Release()
		var got model.Buckets
		if _, err := r.Buckets(context.Background(), 0, model.AllTime, 0, &got, nil); !errors.Is(err, format.ErrCorrupt) || got.Len() != 1 {
			t.Errorf("of chunks that overlap %d buckets are read, %v", got.Len(), err)
		}
	}
	// Chunks of a tier with more buckets a day hold fewer days.
	fs := vfs.NewMem()
	w, err := Create(objstore.NewDir(fs, "data"), rollupMeta(Minute, 8), WriterOptions{})
	must(t, err)
	must(t, w.Series(0, model.Identity{}, labels.FromStrings(MetricName, "m")))
	for _, day := range []int64{3, 4} {
		appendBucket(&w.pending.buckets, firstDay-1+day*model.DayMs+hour, int64(Minute), 2, 5, 1000, func() float64 { return 1 })
	}
	info, err := w.Finish()
	must(t, err)
	found := ""
	must(t, openTest(t, fs, info, nil).Check(context.Background(), func(_ int64, what string) { found += what }))
	if !strings.Contains(found, "spans the days of two chunks") {
		t.Errorf("check finds %q", found)
	}
}

// A chunk of a kind that the tier has not is damage of its directory page.
func TestPagesOfAnotherTierAreDamaged(t *testing.T) {
	fs := vfs.NewMem()
	raw := openTest(t, fs, smallBlock(L2).write(t, fs, "data", 100), nil)
	rollup := openTest(t, fs, smallRollup(Hour).write(t, fs, 100), nil)
	for _, b := range []*Block{raw, rollup} {
		b.info.Tier = map[Tier]Tier{Raw: Hour, Hour: Raw}[b.info.Tier]
		if _, err := b.Chunks(0, model.AllTime, nil); !errors.Is(err, format.ErrCorrupt) {
			t.Errorf("a page read as of the %v tier: %v", b.info.Tier, err)
		}
	}
}

// The statistics of a rollup have its kinds of columns.
func TestStatsOfARollup(t *testing.T) {
	fs := vfs.NewMem()
	m := smallRollup(Hour)
	s, err := openTest(t, fs, m.write(t, fs, 100), nil).Stats(context.Background())
	must(t, err)
	rows := map[encoding.Kind]int64{}
	for _, c := range s.Columns {
		rows[c.Kind] += c.Samples
	}
	want := int64(0)
	for i := range m.series {
		want += int64(m.series[i].buckets.Len())
	}
	if len(rows) != 2 || rows[encoding.KindBucketTimes] != want || rows[encoding.KindBucketValues] != want {
		t.Errorf("columns of %v rows, want %d of each kind", rows, want)
	}
}
