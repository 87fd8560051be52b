package storage

import (
	"cmp"
	"slices"
	"strings"

	"tsdb/storage/head"
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
		Series: uint64(h.Series), LabelPairs: uint64(len(h.Pairs)),
		ByMetric:     largest(h.Metrics, limit, cmp.Compare, strings.Clone),
		ByLabelName:  largest(h.Names, limit, cmp.Compare, strings.Clone),
		BytesByLabel: largest(h.NameBytes, limit, cmp.Compare, strings.Clone),
		ByLabelPair:  largest(h.Pairs, limit, comparePairs, func(p head.Pair) string { return p.Name + "=" + p.Value }),
	}
	st := db.activeBuffer().Stats()
	c.Chunks, c.MinTime, c.MaxTime = uint64(st.Series), st.MinTime, st.MaxTime
	return c
}

// largest returns the rows with the highest counts, those of equal counts by
// key.
func largest[K comparable](counts map[K]uint64, limit int, compare func(a, b K) int, name func(K) string) []NameCount {
	keys := make([]K, 0, len(counts))
	for key := range counts {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b K) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), compare(a, b))
	})
	rows := make([]NameCount, min(limit, len(keys)))
	for i := range rows {
		rows[i] = NameCount{name(keys[i]), counts[keys[i]]}
	}
	return rows
}

func comparePairs(a, b head.Pair) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
}
