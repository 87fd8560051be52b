package compaction

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// kindBucket is a kind of rows that only tests know: a count and a sum.
const kindBucket model.Kind = 9

// bucketRow returns one row of kindBucket.
func bucketRow(t int64, count, sum float64) *model.ColumnSet {
	return &model.ColumnSet{T: []int64{t}, V: []float64{0}, Kinds: []model.Kind{kindBucket}, Columns: []model.Column{
		{Kind: kindBucket, Number: 0, Values: []float64{count}}, {Kind: kindBucket, Number: 1, Values: []float64{sum}},
	}}
}

func floatRow(t int64, v float64) *model.ColumnSet {
	return &model.ColumnSet{T: []int64{t}, V: []float64{v}}
}

// rowText writes rows for comparison.
func rowText(s *model.ColumnSet) (rows []string) {
	for i, t := range s.T {
		row := fmt.Sprintf("%d %v", t, s.KindAt(i))
		switch {
		case s.StaleAt(i):
			row += " stale"
		case s.KindAt(i) == model.KindFloat:
			row += fmt.Sprintf(" %v", s.V[i])
		case s.KindAt(i) == model.KindHistogram:
			row += fmt.Sprintf(" %v", s.HistogramAt(i).Int.Count)
		}
		for _, c := range s.Columns {
			if c.Kind == s.KindAt(i) {
				row += fmt.Sprintf(" %v", c.Values[i])
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// chunkOf is an input of a merge made of the rows of one chunk for each kind.
type chunkOf []*model.ColumnSet

func (c chunkOf) Samples(chunk block.Chunk, during model.TimeRange, dst *model.ColumnSet) error {
	if chunk.Bad {
		return &format.DamageError{Path: "test", What: "lost"}
	}
	for _, row := range c {
		if block.Kind(row.KindAt(0)) == chunk.Kind && during.Contains(row.T[0]) {
			dst.AppendRange(row, 0, 1)
		}
	}
	return nil
}

// chunks returns a chunk for each kind.
func (c chunkOf) chunks(in *mergeInput, age int) (list []mergeChunk) {
	for _, kind := range []model.Kind{model.KindFloat, model.KindHistogram, kindBucket} {
		mc := mergeChunk{in: in, age: age}
		mc.Kind, mc.MinTime, mc.MaxTime = block.Kind(kind), math.MaxInt64, math.MinInt64
		for _, row := range c {
			if row.KindAt(0) == kind {
				mc.Count++
				mc.MinTime, mc.MaxTime = min(mc.MinTime, row.T[0]), max(mc.MaxTime, row.T[0])
			}
		}
		if mc.Count > 0 {
			list = append(list, mc)
		}
	}
	return list
}

// collected is an output that keeps rows.
type collected struct {
	all  model.ColumnSet
	text []string
}

func (c *collected) rows() (rowWriter, error) { return c, nil }
func (c *collected) Samples(s *model.ColumnSet) error {
	c.text = append(c.text, rowText(s)...)
	c.all.AppendRange(s, 0, s.Len())
	return nil
}

func (c *collected) Bad(b block.Chunk) error {
	c.text = append(c.text, fmt.Sprintf("bad %v from %d to %d", model.Kind(b.Kind), b.MinTime, b.MaxTime))
	return nil
}

// mergeRows merges the rows of inputs, the oldest first.
func mergeRows(t *testing.T, deleted block.DeletedRanges, inputs ...chunkOf) []string {
	t.Helper()
	m := &merger{kept: model.TimeRange{Min: 0, Max: 1000}, plan: Plan{Key: block.Key{Level: block.L1}}, result: &Merged{}}
	var chunks []mergeChunk
	for age, rows := range inputs {
		in := &mergeInput{rows: rows}
		if age == 0 {
			in.deleted = deleted
		}
		m.group = append(m.group, in)
		chunks = append(chunks, rows.chunks(in, age)...)
	}
	slices.SortFunc(chunks, compareChunks)
	var out collected
	var s sliceMerger
	for range 2 { // the second time in memory that is there
		out = collected{}
		if err := s.merge(m, &out, chunks); err != nil {
			t.Fatal(err)
		}
	}
	return out.text
}

// A kind that the merger has never heard of is merged by the rules of all kinds:
// the newest row of a time wins, deletions and what is not kept are left out,
// and rows of one input need not be of one kind.
func TestMergerMovesRowsOfAKindItDoesNotKnow(t *testing.T) {
	hist := func(t int64, n uint64) *model.ColumnSet {
		var s model.ColumnSet
		s.Append(t, 0, 0, model.Histogram{Int: &histogram.Histogram{Count: n}})
		return &s
	}
	stale := math.Float64frombits(value.StaleNaN)
	got := mergeRows(t, block.DeletedRanges{{Min: 30, Max: 41}},
		chunkOf{bucketRow(10, 1, 1.5), bucketRow(20, 2, 2.5), bucketRow(30, 3, 3.5), bucketRow(40, 4, 4.5), bucketRow(50, 5, 5.5), floatRow(15, 7)},
		chunkOf{bucketRow(20, 22, 0.5), floatRow(50, 55), hist(60, 6), bucketRow(1001, 9, 9)},
		chunkOf{bucketRow(40, 44, 0.25), floatRow(10, stale), bucketRow(60, 66, 0.125)},
	)
	want := []string{
		"10 kind(9) 1 1.5", // no stale marker replaces a bucket
		"15 float 7",
		"20 kind(9) 22 0.5",
		"40 kind(9) 44 0.25",
		"50 float 55",
		"60 kind(9) 66 0.125",
	}
	if !slices.Equal(got, want) {
		t.Errorf("merged:\n%q, want\n%q", got, want)
	}
}

// A chunk of any kind that cannot be read keeps its place.
func TestMergerCarriesBadChunksOfAKindItDoesNotKnow(t *testing.T) {
	in := &mergeInput{rows: chunkOf{bucketRow(10, 1, 1), bucketRow(20, 2, 2)}}
	m := &merger{kept: model.TimeRange{Min: 0, Max: 1000}, plan: Plan{Key: block.Key{Level: block.L1}}, result: &Merged{}, group: []*mergeInput{in}}
	chunks := []mergeChunk{{in: in}, {in: in}}
	chunks[0].Chunk = block.Chunk{Kind: block.Kind(kindBucket), Count: 2, MinTime: 10, MaxTime: 20}
	chunks[1].Chunk = block.Chunk{Kind: block.Kind(kindBucket), Count: 3, MinTime: 30, MaxTime: 40, Bad: true}
	var out collected
	if err := new(sliceMerger).merge(m, &out, chunks); err != nil {
		t.Fatal(err)
	}
	want := []string{"10 kind(9) 1 1", "20 kind(9) 2 2", "bad kind(9) from 30 to 40"}
	if !slices.Equal(out.text, want) || len(m.result.Lost) != 1 {
		t.Errorf("merged %q with %v lost, want %q", out.text, m.result.Lost, want)
	}
}
