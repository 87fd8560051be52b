package storage

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// MetricOrder is the order of the list of metrics.
type MetricOrder string

// The orders; equal metrics are in the order of their names.
const (
	MetricsByBytes   MetricOrder = "bytes"
	MetricsBySamples MetricOrder = "samples"
	MetricsBySeries  MetricOrder = "series"
	MetricsByName    MetricOrder = "name"
)

// MetricSizesRequest says which metrics are listed.
type MetricSizesRequest struct {
	Tenant  uint32
	Limit   int // metrics
	Order   MetricOrder
	Sets    [][]*labels.Matcher // of which a series must satisfy one; empty = all series
	Reserve func(bytes int64) error
}

// MetricSize describes what is stored of a metric, as GET /api/v1/status/metrics shows
// it.
type MetricSize struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // with unit and help, of the newest metadata; "" if unknown
	Unit    string `json:"unit"`
	Help    string `json:"help"`
	Series  uint64 `json:"series"` // distinct ones, in memory and in blocks
	Head    uint64 `json:"headSeries"`
	Samples uint64 `json:"samples"` // in blocks
	Bytes   int64  `json:"bytes"`   // of the tiers together
	// NewestMs is the time of the newest sample in blocks, or of the newest bucket if there
	// are no samples, Unix milliseconds; 0 without either.
	NewestMs int64             `json:"newestMs"`
	ByTier   []MetricTierBytes `json:"tiers"` // raw, then rollups, those that have the metric
}

// MetricTierBytes are the bytes of a metric in the blocks of a tier: its columns, without
// index. A column that chunks share is divided by them.
type MetricTierBytes struct {
	Tier  string `json:"tier"`
	Rows  uint64 `json:"rows"` // samples, or buckets of a rollup
	Bytes int64  `json:"bytes"`
}

// MetricSizes are the largest metrics, and what all of them have together.
type MetricSizes struct {
	Metrics []MetricSize `json:"metrics"`
	Total   int          `json:"totalMetrics"`
	Samples uint64       `json:"totalSamples"`
	Bytes   int64        `json:"totalBytes"`
}

// MetricSizes returns what is stored of each metric, by the directories of all blocks;
// no column is read. Samples that are deleted or overwritten count until merges leave
// them out, unless all of their series in a block are deleted. Warnings name data that is not counted.
func (db *DB) MetricSizes(ctx context.Context, r MetricSizesRequest) (MetricSizes, []error, error) {
	v, err := db.View()
	if err != nil {
		return MetricSizes{}, nil, err
	}
	defer v.Release()
	places, err := newCensus(v, r.Tenant, r.Sets, r.Reserve)
	if err != nil {
		return MetricSizes{}, nil, err
	}
	c := metricCounter{census: places, seen: hashSet{take: places.take}, metrics: map[string]*metricCounts{}}
	if err := c.addHead(ctx); err != nil {
		return MetricSizes{}, nil, err
	}
	if err := c.addBlocks(ctx); err != nil {
		return MetricSizes{}, nil, err
	}
	known, lost, err := v.Metadata(ctx, r.Tenant, "")
	if err != nil {
		return MetricSizes{}, nil, err
	}
	for _, err := range lost {
		places.warn(err)
	}
	return c.list(r, known), places.warnings, nil
}

// metricCounts are the counts of a metric.
type metricCounts struct {
	series, head uint64
	rows         [1 + 4]uint64 // by tierNumber
	bytes        [1 + 4]float64
	newest       [1 + 4]int64 // Unix milliseconds
}

// tierNumber returns 0 for raw, and 1, 2 … for rollups, finest first.
func tierNumber(t block.Tier) int { return 1 + slices.Index(block.Rollups, t) }

// metricCounter adds up the places of a census by metric.
type metricCounter struct {
	census  *census
	seen    hashSet
	metrics map[string]*metricCounts
}

// metricCountsBytes is the memory of a metric, its name apart.
const metricCountsBytes = 256

func (c *metricCounter) of(name string) (*metricCounts, error) {
	m := c.metrics[name]
	if m == nil {
		if err := c.census.take(metricCountsBytes + int64(len(name))); err != nil {
			return nil, err
		}
		m = &metricCounts{}
		c.metrics[strings.Clone(name)] = m
	}
	return m, nil
}

func (c *metricCounter) addHead(ctx context.Context) error {
	refs, err := c.census.head(ctx, model.AllTime)
	if err != nil {
		return err
	}
	if err := c.census.see(refs, &c.seen); err != nil {
		return err
	}
	named := uint64(0)
	add := func(name string, series uint64) error {
		m, err := c.of(name)
		if err == nil {
			m.series, m.head = m.series+series, m.head+series
		}
		return err
	}
	err = c.census.view.views.head.CountLabels(ctx, refs, func(name, value string, series uint64) error {
		if name != block.MetricName {
			return nil
		}
		named += series
		return add(value, series)
	})
	if left := uint64(len(refs)) - named; err == nil && left > 0 && len(refs) > 0 {
		err = add("", left)
	}
	return err
}

// addBlocks adds the blocks of all tiers. Series count of those that the view shows;
// bytes are there as long as the block is.
func (c *metricCounter) addBlocks(ctx context.Context) error {
	memory := int64(0)
	return c.census.blocksOf(ctx, c.census.files(), func(b *block.Block, series *roaring.Bitmap) error {
		if need := b.ChunkBytesMemory(); need > memory {
			if err := c.census.take(need - memory); err != nil {
				return err
			}
			memory = need
		}
		runs, err := b.MetricRuns(ctx, c.census.tenant)
		if err != nil {
			return err
		}
		at := metricCursor{counter: c, runs: runs}
		err = b.Identities(ctx, series, func(ord uint32, id model.Identity) error {
			fresh, err := c.seen.add(id.Hi)
			if err != nil || !fresh {
				return err
			}
			m, err := at.metric(ord)
			if err == nil {
				m.series++
			}
			return err
		})
		if err != nil {
			return err
		}
		tier := tierNumber(b.Info().Tier)
		at = metricCursor{counter: c, runs: runs}
		return b.ChunkBytes(ctx, series, func(k block.Chunk, bytes float64) error {
			m, err := at.metric(k.Ordinal)
			if err != nil {
				return err
			}
			if k.Kind != block.KindStandIn {
				m.rows[tier] += uint64(k.Count)
			}
			m.bytes[tier] += bytes
			m.newest[tier] = max(m.newest[tier], k.MaxTime)
			return nil
		})
	})
}

// metricCursor finds the metrics of ascending ordinals.
type metricCursor struct {
	counter *metricCounter
	runs    []block.MetricRun
	current *metricCounts // of runs[0]; nil = not looked up
}

func (c *metricCursor) metric(ord uint32) (*metricCounts, error) {
	if len(c.runs) > 1 && c.runs[1].First <= ord {
		n := sort.Search(len(c.runs), func(i int) bool { return c.runs[i].First > ord }) - 1
		c.runs, c.current = c.runs[n:], nil
	}
	if c.current == nil {
		name := ""
		if len(c.runs) > 0 {
			name = c.runs[0].Name
		}
		var err error
		if c.current, err = c.counter.of(name); err != nil {
			return nil, err
		}
	}
	return c.current, nil
}

// list returns the metrics in the order asked for.
func (c *metricCounter) list(r MetricSizesRequest, known map[string][]model.Metadata) MetricSizes {
	result := MetricSizes{Metrics: make([]MetricSize, 0, len(c.metrics)), Total: len(c.metrics)}
	for name, counts := range c.metrics {
		m := MetricSize{Name: name, Series: counts.series, Head: counts.head, Samples: counts.rows[0], NewestMs: counts.newest[0], ByTier: []MetricTierBytes{}}
		for i, bytes := range counts.bytes {
			if bytes == 0 && counts.rows[i] == 0 {
				continue
			}
			tier := block.Raw
			if i > 0 {
				tier = block.Rollups[i-1]
			}
			m.ByTier = append(m.ByTier, MetricTierBytes{Tier: tier.String(), Rows: counts.rows[i], Bytes: int64(math.Round(bytes))})
			m.Bytes += int64(math.Round(bytes))
			if counts.rows[0] == 0 {
				m.NewestMs = max(m.NewestMs, counts.newest[i])
			}
		}
		if list := known[name]; len(list) > 0 {
			m.Type, m.Unit, m.Help = string(list[0].Type), list[0].Unit, list[0].Help
		}
		result.Samples += m.Samples
		result.Bytes += m.Bytes
		result.Metrics = append(result.Metrics, m)
	}
	key := map[MetricOrder]func(m *MetricSize) uint64{
		MetricsByBytes:   func(m *MetricSize) uint64 { return uint64(m.Bytes) },
		MetricsBySamples: func(m *MetricSize) uint64 { return m.Samples },
		MetricsBySeries:  func(m *MetricSize) uint64 { return m.Series },
		MetricsByName:    func(*MetricSize) uint64 { return 0 },
	}[cmp.Or(r.Order, MetricsByBytes)]
	slices.SortFunc(result.Metrics, func(a, b MetricSize) int {
		return cmp.Or(cmp.Compare(key(&b), key(&a)), cmp.Compare(a.Name, b.Name))
	})
	result.Metrics = result.Metrics[:min(len(result.Metrics), r.Limit)]
	return result
}

// ParseMetricOrder returns the order of a name; "" is MetricsByBytes.
func ParseMetricOrder(s string) (MetricOrder, error) {
	switch o := MetricOrder(s); o {
	case "":
		return MetricsByBytes, nil
	case MetricsByBytes, MetricsBySamples, MetricsBySeries, MetricsByName:
		return o, nil
	}
	return "", fmt.Errorf("unknown order %q: bytes, samples, series and name are known", s)
}
