package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	prommodel "github.com/prometheus/common/model"

	"tsdb/internal/model"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/storage/head"
)

// Cardinality lists the largest metrics, label names, values and pairs of all data
// in memory and in blocks, as GET /api/v1/status/tsdb shows them.
type Cardinality struct {
	Series       uint64      // distinct ones
	LabelPairs   uint64      // distinct ones
	Chunks       uint64      // of blocks, and a series with samples in memory is one
	MinTime      int64       // Unix milliseconds of the oldest sample; math.MaxInt64 without any
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

// cardinalityPairs bounds the label pairs that are counted of blocks, some 100
// bytes each, besides those in memory.
const cardinalityPairs = 1 << 20

// Cardinality returns the largest metrics, names and pairs, at most limit of
// each. A series counts once, wherever it has samples: of each block, from the
// newest to the oldest, the series that no other place had are counted, by its
// dictionaries and postings. Warnings name data that is not counted.
func (db *DB) Cardinality(ctx context.Context, tenant uint32, limit int) (Cardinality, []error, error) {
	return db.cardinality(ctx, tenant, limit, cardinalityPairs)
}

func (db *DB) cardinality(ctx context.Context, tenant uint32, limit, pairs int) (Cardinality, []error, error) {
	v, err := db.View()
	if err != nil {
		return Cardinality{}, nil, err
	}
	defer v.Release()
	c := cardinalityCounter{view: v, tenant: tenant, all: db.head.Cardinality(tenant), seen: map[uint64]struct{}{}}
	c.pairsMax = len(c.all.Pairs) + pairs
	if err := c.addHead(ctx); err != nil {
		return Cardinality{}, nil, err
	}
	entries := v.st.overlapping(v.st.visible(model.AllTime))
	for i := len(entries) - 1; i >= 0; i-- {
		if err := c.addBlock(ctx, entries[i]); err != nil {
			return Cardinality{}, nil, err
		}
	}
	if c.left > 0 {
		c.warnings = append(c.warnings, fmt.Errorf("%d values of labels are not counted: blocks have more than %d pairs of label and value", c.left, pairs))
	}
	r := c.result
	r.Series, r.LabelPairs = uint64(len(c.seen)), uint64(len(c.all.Pairs))
	r.ByMetric = largest(c.all.Metrics, limit, cmp.Compare, strings.Clone)
	r.ByLabelName = largest(c.all.Names, limit, cmp.Compare, strings.Clone)
	r.BytesByLabel = largest(c.all.NameBytes, limit, cmp.Compare, strings.Clone)
	r.ByLabelPair = largest(c.all.Pairs, limit, comparePairs, func(p head.Pair) string { return p.Name + "=" + p.Value })
	return r, c.warnings, nil
}

// cardinalityCounter adds up the head and the blocks of a view.
type cardinalityCounter struct {
	view     *View
	tenant   uint32
	all      head.Cardinality
	seen     map[uint64]struct{} // half of the identities of the series counted
	pairsMax int
	left     uint64 // values beyond it
	result   Cardinality
	warnings []error
}

// addHead adds the series that the head knows, whose labels are in all.
func (c *cardinalityCounter) addHead(ctx context.Context) error {
	h := c.view.views.head
	c.result.MinTime, c.result.MaxTime = math.MaxInt64, math.MinInt64
	for _, b := range c.view.st.buffers() {
		st := b.Stats()
		c.result.Chunks += uint64(st.Series)
		c.result.MinTime, c.result.MaxTime = min(c.result.MinTime, st.MinTime), max(c.result.MaxTime, st.MaxTime)
	}
	refs, err := h.Select(ctx, c.tenant, nil, model.AllTime)
	if err != nil {
		return err
	}
	ids := make([]model.Identity, len(refs))
	h.IDs(refs, ids)
	for _, id := range ids {
		c.seen[id.Hi] = struct{}{}
	}
	return nil
}

// addBlock adds the series of a block that were nowhere before.
func (c *cardinalityCounter) addBlock(ctx context.Context, e *blockset.Entry) error {
	if err := e.Err(); err != nil {
		c.warnings = append(c.warnings, err)
	}
	b := e.Block()
	if b == nil {
		return nil
	}
	shown := c.view.st.visible(model.Inclusive(e.MinTime, e.MaxTime))
	c.result.MinTime, c.result.MaxTime = min(c.result.MinTime, shown.Min), max(c.result.MaxTime, shown.Max-1)
	c.result.Chunks += b.ChunkCount()
	fresh := roaring.New()
	shows, err := c.view.shows(ctx, e, c.tenant)
	if err == nil {
		err = b.Identities(ctx, c.tenant, func(ord uint32, id model.Identity) {
			if _, known := c.seen[id.Hi]; !known && shows(ord) {
				c.seen[id.Hi] = struct{}{}
				fresh.Add(ord)
			}
		})
	}
	if err == nil && !fresh.IsEmpty() {
		err = b.CountValues(ctx, fresh, c.add)
	}
	if errors.Is(err, format.ErrCorrupt) {
		c.warnings = append(c.warnings, err)
		return nil
	}
	return err
}

// add adds series with a value of a label.
func (c *cardinalityCounter) add(name, value string, series uint64) {
	p := head.Pair{Name: name, Value: value}
	if _, known := c.all.Pairs[p]; !known {
		if len(c.all.Pairs) >= c.pairsMax {
			c.left++
			return
		}
		p = head.Pair{Name: name, Value: strings.Clone(value)}
		c.all.Names[name]++
		c.all.NameBytes[name] += uint64(len(value))
	}
	c.all.Pairs[p] += series
	if name == prommodel.MetricNameLabel {
		c.all.Metrics[p.Value] += series
	}
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
