package storage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// kindBucket is a kind of rows that only this test knows: a count and a sum.
const kindBucket model.Kind = 9

// bucketReader stands for the reader of a block whose series hold rows of
// kindBucket: one each minute of the range in minutes, with the count n.
type bucketReader struct {
	start    time.Time
	from, to int
	n        float64
	damaged  error
}

func (b *bucketReader) Append(_ context.Context, _ uint32, tr model.TimeRange, dst *model.ColumnSet) error {
	for m := b.from; m < b.to; m++ {
		t := b.start.Add(time.Duration(m) * time.Minute).UnixMilli()
		if !tr.Contains(t) {
			continue
		}
		dst.AppendRange(&model.ColumnSet{T: []int64{t}, V: []float64{0}, Kinds: []model.Kind{kindBucket}, Columns: []model.Column{
			{Kind: kindBucket, Number: 0, Values: []float64{b.n}}, {Kind: kindBucket, Number: 1, Values: []float64{b.n + float64(m)/10}},
		}}, 0, 1)
	}
	return b.damaged
}

func (b *bucketReader) AppendFloats(context.Context, uint32, model.TimeRange, *block.Floats) (bool, error) {
	return false, nil
}

func (b *bucketReader) Release() {}

// A selection hands on rows of a kind that it does not know: merged over blocks
// and head by the rules of all kinds, without what was deleted, and with a
// warning for what is damaged.
func TestSelectionReadsRowsOfAKindItDoesNotKnow(t *testing.T) {
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := openChecked(t, t.Context(), vfs.NewMem(), "data", Options{Clock: clock, Seed: 1, WALSegmentBytes: 1 << 20, CacheBytes: -1})
	must(t, err)
	defer func() { must(t, db.Close(context.Background())) }()
	start := clock.Now()
	write := func(minutes ...int) {
		t.Helper()
		b := db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Hi: 1}, labels.FromStrings("__name__", "m"))
		must(t, err)
		for _, m := range minutes {
			b.Float(ref, start.Add(time.Duration(m)*time.Minute).UnixMilli(), 0, float64(100+m))
		}
		_, err = b.Commit(t.Context())
		must(t, err)
	}
	at := func(minute int) int64 { return start.Add(time.Duration(minute) * time.Minute).UnixMilli() }
	name := labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")
	for range 2 { // two blocks: their times say where the rows may be
		write(0, 1, 2, 3, 4, 5, 6, 7)
		_, err := db.Flush(t.Context())
		must(t, err)
	}
	must(t, db.Delete(t.Context(), model.DefaultTenant, model.TimeRange{Min: at(1), Max: at(3)}, name))
	write(2, 6, 8)

	v, err := db.View()
	must(t, err)
	defer v.Release()
	set, err := v.Select(t.Context(), model.DefaultTenant, model.AllTime, name)
	must(t, err)
	if set.Len() != 1 || len(set.At(0).sources) != 3 {
		t.Fatalf("%d series with %d sources", set.Len(), len(set.At(0).sources))
	}
	damage := &format.DamageError{Path: "test", What: "lost"}
	r := ColumnReader{set: set, readers: []rowReader{
		&bucketReader{start: start, from: 0, to: 6, n: 1},
		&bucketReader{start: start, from: 4, to: 8, n: 2, damaged: damage},
	}}
	defer r.Release()
	rows, shared, err := r.Read(t.Context(), set.At(0), model.TimeRange{Min: at(0), Max: at(9)})
	must(t, err)
	if shared {
		t.Error("rows of several sources are said to share their times")
	}
	var got []string
	for i, ts := range rows.T {
		row := fmt.Sprintf("%d %v", (ts-at(0))/60000, rows.KindAt(i))
		if rows.KindAt(i) == model.KindFloat {
			row += fmt.Sprintf(" %v", rows.V[i])
		} else {
			for _, c := range rows.Columns {
				row += fmt.Sprintf(" %v", c.Values[i])
			}
		}
		got = append(got, row)
	}
	want := "0 kind(9) 1 1, 2 float 102, 3 kind(9) 1 1.3, 4 kind(9) 2 2.4, 5 kind(9) 2 2.5, 6 float 106, 7 kind(9) 2 2.7, 8 float 108"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("read:\n%s, want\n%s", s, want)
	}
	if w := set.Warnings(); len(w) != 1 {
		t.Errorf("warnings %v", w)
	}
	if n := r.IntegralBits(); n != 0 {
		t.Errorf("rows of several kinds are whole numbers of %d bits", n)
	}
}
