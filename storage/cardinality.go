package storage

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// CardinalityRequest says which series are counted.
type CardinalityRequest struct {
	Tenant uint32
	Limit  int // rows of each table
	// Range is the time in which a series must have samples, or buckets of a rollup where
	// samples have expired. The empty range stands for all times.
	Range model.TimeRange
	// Sets are lists of matchers, of which a series must satisfy one; empty = all series.
	Sets [][]*labels.Matcher
	// Focus is a label whose values are listed with their series; "" = none.
	Focus string
	// Reserve is called before memory is taken; nil = not called.
	Reserve func(bytes int64) error
}

// Cardinality lists the largest metrics, label names, values and pairs of the data in
// memory and in blocks, as GET /api/v1/status/tsdb shows them.
type Cardinality struct {
	Series       uint64      // distinct ones
	LabelPairs   uint64      // distinct ones
	Chunks       uint64      // of blocks with such series, and a series with samples in memory is one
	MinTime      int64       // Unix milliseconds of the oldest sample; math.MaxInt64 without any
	MaxTime      int64       // math.MinInt64 without any
	ByMetric     []NameCount // series a metric
	ByLabelName  []NameCount // values a label name
	BytesByLabel []NameCount // bytes of values a label name
	SeriesByName []NameCount // series a label name
	ByLabelPair  []NameCount // series a name=value pair
	ByFocus      []NameCount // series a value of the focus label
}

// NameCount is one row of a cardinality table.
type NameCount struct {
	Name  string
	Count uint64
}

// cardinalityPairs bounds the label pairs that are counted of blocks, some 100
// bytes each, besides those in memory.
const (
	cardinalityPairs = 1 << 20
	pairBytes        = 100
)

// Cardinality returns the largest metrics, names and pairs, at most Limit of each. A
// series counts once, wherever it has samples: of each block, from the newest to the
// oldest, the series that no other place had are counted, by its dictionaries and
// postings. Warnings name data that is not counted.
func (db *DB) Cardinality(ctx context.Context, r CardinalityRequest) (Cardinality, []error, error) {
	return db.cardinality(ctx, r, cardinalityPairs)
}

func (db *DB) cardinality(ctx context.Context, r CardinalityRequest, pairs int) (Cardinality, []error, error) {
	if r.Range.Empty() {
		r.Range = model.AllTime
	}
	v, err := db.View()
	if err != nil {
		return Cardinality{}, nil, err
	}
	defer v.Release()
	places, err := newCensus(v, r.Tenant, r.Sets, r.Reserve)
	if err != nil {
		return Cardinality{}, nil, err
	}
	c := newCardinalityCounter(places, r.Range)
	if err := c.count(ctx, pairs); err != nil {
		return Cardinality{}, nil, err
	}
	return c.tables(r.Limit, r.Focus), places.warnings, nil
}

// labelPair is a label with its value.
type labelPair struct{ name, value string }

// cardinalityCounter adds up the places of a census.
type cardinalityCounter struct {
	census     *census
	tr         model.TimeRange
	seen       hashSet              // halves of the identities of the series counted
	pairs      map[labelPair]uint64 // series
	names      map[string]uint64    // values
	nameBytes  map[string]uint64    // of values
	nameSeries map[string]uint64    // series
	pairsMax   int
	left       uint64 // values beyond it
	result     Cardinality
}

func newCardinalityCounter(places *census, tr model.TimeRange) *cardinalityCounter {
	c := &cardinalityCounter{
		census: places, tr: tr, pairsMax: math.MaxInt, seen: hashSet{take: places.take},
		pairs: map[labelPair]uint64{}, names: map[string]uint64{}, nameBytes: map[string]uint64{}, nameSeries: map[string]uint64{},
	}
	c.result.MinTime, c.result.MaxTime = math.MaxInt64, math.MinInt64
	return c
}

// count adds all places, and pairs of blocks up to a bound.
func (c *cardinalityCounter) count(ctx context.Context, pairs int) error {
	if err := c.addHead(ctx); err != nil {
		return err
	}
	c.pairsMax = len(c.pairs) + pairs
	err := c.census.blocks(ctx, c.tr, func(b *block.Block, series *roaring.Bitmap) error { return c.addBlock(ctx, b, series) })
	if err == nil && c.left > 0 {
		c.census.warn(fmt.Errorf("%d values of labels are not counted: blocks have more than %d pairs of label and value", c.left, pairs))
	}
	return err
}

// span notes the times of a place, both inclusive.
func (c *cardinalityCounter) span(min_, max_ int64) {
	if tr := model.Inclusive(min_, max_).Intersect(c.tr); !tr.Empty() {
		c.result.MinTime, c.result.MaxTime = min(c.result.MinTime, tr.Min), max(c.result.MaxTime, tr.Max-1)
	}
}

// addHead adds the series that have samples in memory.
func (c *cardinalityCounter) addHead(ctx context.Context) error {
	refs, err := c.census.head(ctx, c.tr)
	if err != nil || len(refs) == 0 {
		return err
	}
	st := c.census.view.st
	for _, b := range st.buffersIn(c.tr) {
		stats := b.Stats()
		c.span(max(stats.MinTime, st.floor), stats.MaxTime)
	}
	c.result.Chunks += uint64(len(refs))
	if err := c.census.see(refs, &c.seen); err != nil {
		return err
	}
	return c.census.view.views.head.CountLabels(ctx, refs, c.add)
}

// addBlock adds the series of a block that were nowhere before.
func (c *cardinalityCounter) addBlock(ctx context.Context, b *block.Block, series *roaring.Bitmap) error {
	info := b.Info()
	shown := model.Inclusive(info.MinTime, info.MaxTime)
	if info.Tier == block.Raw {
		shown = c.census.view.st.visible(shown)
	}
	c.span(shown.Min, shown.Max-1)
	c.result.Chunks += b.ChunkCount()
	fresh := roaring.New()
	err := b.Identities(ctx, series, func(ord uint32, id model.Identity) error {
		added, err := c.seen.add(id.Hi)
		if added {
			fresh.Add(ord)
		}
		return err
	})
	if err != nil || fresh.IsEmpty() {
		return err
	}
	return b.CountValues(ctx, []*roaring.Bitmap{fresh}, func(name, value string, series []uint64) error { return c.add(name, value, series[0]) })
}

// add adds series with a value of a label. The strings are copied.
func (c *cardinalityCounter) add(name, value string, series uint64) error {
	p := labelPair{name, value}
	n, known := c.pairs[p]
	if _, ok := c.names[name]; !ok {
		name = strings.Clone(name)
	}
	c.nameSeries[name] += series
	if !known {
		if len(c.pairs) >= c.pairsMax {
			c.left++
			return nil
		}
		if err := c.census.take(pairBytes + int64(len(value))); err != nil {
			return err
		}
		p = labelPair{strings.Clone(name), strings.Clone(value)}
		c.names[name]++
		c.nameBytes[name] += uint64(len(value))
	}
	c.pairs[p] = n + series
	return nil
}

// tables returns the rows with the highest counts.
func (c *cardinalityCounter) tables(limit int, focus string) Cardinality {
	r := c.result
	r.Series, r.LabelPairs = uint64(c.seen.n), uint64(len(c.pairs))
	self := func(name string) string { return name }
	r.ByMetric = largest(c.values(prommodel.MetricNameLabel), limit, cmp.Compare, self)
	r.ByLabelName = largest(c.names, limit, cmp.Compare, self)
	r.BytesByLabel = largest(c.nameBytes, limit, cmp.Compare, self)
	r.SeriesByName = largest(c.nameSeries, limit, cmp.Compare, self)
	r.ByLabelPair = largest(c.pairs, limit, comparePairs, func(p labelPair) string { return p.name + "=" + p.value })
	if focus != "" {
		r.ByFocus = largest(c.values(focus), limit, cmp.Compare, self)
	}
	return r
}

// values returns the values of a label with their series.
func (c *cardinalityCounter) values(name string) map[string]uint64 {
	all := make(map[string]uint64)
	for p, n := range c.pairs {
		if p.name == name {
			all[p.value] = n
		}
	}
	return all
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

func comparePairs(a, b labelPair) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value))
}
