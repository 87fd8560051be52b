package storage

import (
	"cmp"
	"slices"
)

// Cardinality is what GET /api/v1/status/tsdb shows of the head: the largest
// metrics, label names, values and pairs.
type Cardinality struct {
	Series       uint64
	LabelPairs   uint64
	Chunks       uint64      // series with samples in memory: each is one run of samples
	MinTime      int64       // Unix milliseconds of the oldest sample in memory; math.MaxInt64 without any
	MaxTime      int64       // math.MinInt64 without any
	ByMetric     []NameCount // series a metric
	ByLabelName  []NameCount // values a label name
	BytesByLabel []NameCount // bytes of values a label name
	ByLabelPair  []NameCount // series a name=value pair
}

// NameCount is one row of a cardinality table.
type NameCount struct {
	Name  string
	Count uint64
}

// Cardinality returns the largest metrics, names and pairs of the head, at most
// limit of each.
func (db *DB) Cardinality(limit int) Cardinality {
	h := db.head.Cardinality()
	c := Cardinality{
		Series: uint64(h.Series), LabelPairs: uint64(h.TotalPairs),
		ByMetric: largest(h.Metrics, limit), ByLabelName: largest(h.Names, limit), BytesByLabel: largest(h.NameBytes, limit),
	}
	pairs := make(map[string]uint64, len(h.Pairs))
	for p, n := range h.Pairs {
		pairs[p.Name+"="+p.Value] = n
	}
	c.ByLabelPair = largest(pairs, limit)
	st := db.activeBuffer().Stats()
	c.Chunks, c.MinTime, c.MaxTime = uint64(st.Series), st.MinTime, st.MaxTime
	return c
}

// largest returns the rows with the highest counts, those of equal counts by
// name.
func largest(counts map[string]uint64, limit int) []NameCount {
	rows := make([]NameCount, 0, len(counts))
	for name, n := range counts {
		rows = append(rows, NameCount{name, n})
	}
	slices.SortFunc(rows, func(a, b NameCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return rows[:min(limit, len(rows))]
}
