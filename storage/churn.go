package storage

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// ChurnRequest says which days are reported.
type ChurnRequest struct {
	Tenant  uint32
	Days    int // the newest of them is today
	Limit   int // metrics and labels of each day, at most MaxChurnRows
	Reserve func(bytes int64) error
}

// MaxChurnRows bounds ChurnRequest.Limit.
const MaxChurnRows = 100

// ChurnDay describes the series of a day, as GET /api/v1/status/churn shows it.
type ChurnDay struct {
	Date   string `json:"date"`   // UTC
	Series uint64 `json:"series"` // with samples on the day
	New    uint64 `json:"new"`    // of them, those without samples on the day before
	Gone   uint64 `json:"gone"`   // series of the day before that are not among them
	// Metrics are those with the most new series. Labels are those with the most values
	// that no series had the day before: the labels that make series new.
	Metrics []ChurnMetric `json:"metrics"`
	Labels  []ChurnLabel  `json:"labels"`
}

// ChurnMetric is a metric with new series.
type ChurnMetric struct {
	Name string `json:"name"`
	New  uint64 `json:"new"`
}

// ChurnLabel is a label with new values.
type ChurnLabel struct {
	Name      string `json:"name"`
	NewValues uint64 `json:"newValues"`
	New       uint64 `json:"new"` // new series that have one of these values
}

// ChurnReport lists days, the newest first.
type ChurnReport struct {
	Days []ChurnDay `json:"days"`
}

// Churn compares the series of each day with those of the day before. It goes through
// the days once and holds the identities and label values of two of them, some 16 to 32
// bytes each. Days whose blocks have not changed since a report come from a cache. Warnings
// name data that is not counted.
func (db *DB) Churn(ctx context.Context, r ChurnRequest) (ChurnReport, []error, error) {
	v, err := db.View()
	if err != nil {
		return ChurnReport{}, nil, err
	}
	defer v.Release()
	places, err := newCensus(v, r.Tenant, nil, nil)
	if err != nil {
		return ChurnReport{}, nil, err
	}
	today := block.Raw.PartitionStart(db.opts.Clock.Now().UnixMilli())
	c := churnCounter{census: places, reserve: r.Reserve, cache: &db.churn}
	report := ChurnReport{Days: []ChurnDay{}}
	for ago := r.Days - 1; ago >= 0; ago-- {
		day, err := c.day(ctx, today-int64(ago)*model.DayMs)
		if err != nil {
			return ChurnReport{}, nil, err
		}
		day.Metrics = day.Metrics[:min(len(day.Metrics), r.Limit)]
		day.Labels = day.Labels[:min(len(day.Labels), r.Limit)]
		report.Days = append(report.Days, day)
	}
	slices.Reverse(report.Days)
	return report, places.warnings, nil
}

// churnCounter compares days, in ascending order.
type churnCounter struct {
	census  *census
	reserve func(int64) error
	cache   *churnCache
	before  *churnSets // of the day before the next one, nil = not read
	at      int64      // start of that day
	held    int64      // bytes reserved and not in use
}

// churnSets are the series and label values of a day.
type churnSets struct {
	series, values hashSet
	bytes          int64 // of both
}

// take reserves bytes for sets. What older sets had is used first.
func (c *churnCounter) take(bytes int64) error {
	if n := min(bytes, c.held); n > 0 {
		c.held, bytes = c.held-n, bytes-n
	}
	if bytes == 0 || c.reserve == nil {
		return nil
	}
	return c.reserve(bytes)
}

func (c *churnCounter) newSets() *churnSets {
	s := &churnSets{}
	take := func(bytes int64) error {
		s.bytes += bytes
		return c.take(bytes)
	}
	s.series.take, s.values.take = take, take
	return s
}

// day compares a day with the day before.
func (c *churnCounter) day(ctx context.Context, start int64) (ChurnDay, error) {
	key, cached := c.key(ctx, start)
	if cached {
		if day, ok := c.cache.get(key); ok {
			return day, nil
		}
	}
	if c.before == nil || c.at != start-model.DayMs {
		c.drop()
		c.before = c.newSets()
		if err := c.read(ctx, start-model.DayMs, c.before, nil); err != nil {
			return ChurnDay{}, err
		}
	}
	sets, news := c.newSets(), newChurnNews(c.before)
	warned := len(c.census.warnings)
	if err := c.read(ctx, start, sets, news); err != nil {
		return ChurnDay{}, err
	}
	day := news.result(start, sets)
	c.drop()
	c.before, c.at = sets, start
	if cached && len(c.census.warnings) == warned {
		c.cache.put(key, day)
	}
	return day, nil
}

// drop releases the sets of the day before.
func (c *churnCounter) drop() {
	if c.before != nil {
		c.held += c.before.bytes
		c.before = nil
	}
}

// key returns what determines a comparison. It is false if samples in memory may change
// it.
func (c *churnCounter) key(ctx context.Context, start int64) (string, bool) {
	both := model.TimeRange{Min: start - model.DayMs, Max: start + model.DayMs}
	if len(c.census.view.st.buffersIn(both)) > 0 {
		return "", false
	}
	key, err := c.census.basis(ctx, both)
	return key, err == nil
}

// basis returns what determines the series that have samples in blocks of a range: the
// blocks, and what hides a part of them.
func (c *census) basis(ctx context.Context, tr model.TimeRange) (string, error) {
	st := c.view.st
	parts, err := c.parts(ctx, tr)
	if err != nil {
		return "", err
	}
	// A floor matters only as far as it lies within the range.
	within := func(floor int64) int64 { return min(max(floor, tr.Min), tr.Max) }
	var b strings.Builder
	fmt.Fprint(&b, c.tenant, " ", tr.Min, " ", within(st.floor))
	for _, p := range parts {
		fmt.Fprint(&b, "\n", p.Name, p.ranges)
	}
	for i := range st.tombstones {
		if t := &st.tombstones[i]; t.Range.Overlaps(tr) {
			fmt.Fprint(&b, "\n", t.ID)
		}
	}
	for _, list := range st.blocks.State().RuleLists {
		fmt.Fprint(&b, "\nrules")
		for i := range list.Rules {
			r := &list.Rules[i]
			fmt.Fprint(&b, "\n", r)
			for _, tier := range slices.Sorted(maps.Keys(r.Floors)) {
				fmt.Fprint(&b, " ", tier, " ", within(r.Floors[tier]))
			}
		}
	}
	return b.String(), nil
}

// read adds the series of a day and their label values to sets and, if news is not nil,
// what is new of them to news.
func (c *churnCounter) read(ctx context.Context, start int64, sets *churnSets, news *churnNews) error {
	tr := model.TimeRange{Min: start, Max: start + model.DayMs}
	refs, err := c.census.head(ctx, tr)
	if err != nil {
		return err
	}
	if err := sets.series.expect(len(refs)); err != nil {
		return err
	}
	var fresh []model.Ref
	err = c.census.identities(refs, func(i int, id model.Identity) error {
		if news != nil && !news.before.series.has(id.Hi) {
			news.series++
			if fresh == nil {
				fresh = make([]model.Ref, 0, len(refs)-i)
			}
			fresh = append(fresh, refs[i])
		}
		_, err := sets.series.add(id.Hi)
		return err
	})
	if err != nil {
		return err
	}
	head := c.census.view.views.head
	if err := head.CountLabels(ctx, refs, func(name, value string, _ uint64) error {
		return sets.addValue(name, value, news)
	}); err != nil {
		return err
	}
	if err := head.CountLabels(ctx, fresh, func(name, value string, series uint64) error {
		news.count(name, value, series)
		return nil
	}); err != nil {
		return err
	}
	return c.census.blocks(ctx, tr, func(b *block.Block, series *roaring.Bitmap) error {
		added := roaring.New() // new on the day, and in no place of it before
		err := b.Identities(ctx, series, func(ord uint32, id model.Identity) error {
			first, err := sets.series.add(id.Hi)
			if first && news != nil && !news.before.series.has(id.Hi) {
				news.series++
				added.Add(ord)
			}
			return err
		})
		if err != nil {
			return err
		}
		return b.CountValues(ctx, []*roaring.Bitmap{series, added}, func(name, value string, n []uint64) error {
			if err := sets.addValue(name, value, news); err != nil {
				return err
			}
			if n[1] > 0 {
				news.count(name, value, n[1])
			}
			return nil
		})
	})
}

// hashOfValue returns the hash of a label with its value.
func hashOfValue(name, value string) uint64 {
	return xxh3.HashStringSeed(value, xxh3.HashString(name))
}

// addValue adds a value of a label, and counts it in news if the day before did not have
// it. news may be nil.
func (s *churnSets) addValue(name, value string, news *churnNews) error {
	h := hashOfValue(name, value)
	first, err := s.values.add(h)
	if err == nil && first && news != nil && !news.before.values.has(h) {
		news.label(name).values++
	}
	return err
}

// churnNews counts what a day has and the day before did not.
type churnNews struct {
	before  *churnSets
	series  uint64
	metrics map[string]uint64
	labels  map[string]*churnLabel
}

type churnLabel struct{ values, series uint64 }

// maxChurnMetrics bounds the metrics that are counted, and the labels; further ones are
// not listed.
const maxChurnMetrics = 1 << 18

func newChurnNews(before *churnSets) *churnNews {
	return &churnNews{before: before, metrics: map[string]uint64{}, labels: map[string]*churnLabel{}}
}

func (n *churnNews) label(name string) *churnLabel {
	l := n.labels[name]
	if l == nil {
		l = &churnLabel{}
		if len(n.labels) < maxChurnMetrics {
			n.labels[strings.Clone(name)] = l
		}
	}
	return l
}

// count adds new series that have a value of a label.
func (n *churnNews) count(name, value string, series uint64) {
	if name == block.MetricName {
		if _, known := n.metrics[value]; !known {
			if len(n.metrics) == maxChurnMetrics {
				return
			}
			value = strings.Clone(value)
		}
		n.metrics[value] += series
	}
	if !n.before.values.has(hashOfValue(name, value)) {
		n.label(name).series += series
	}
}

func (n *churnNews) result(start int64, sets *churnSets) ChurnDay {
	day := ChurnDay{Date: rfc3339(start - 1)[:len("2006-01-02")], Series: uint64(sets.series.n), New: n.series, Metrics: []ChurnMetric{}, Labels: []ChurnLabel{}}
	day.Gone = uint64(n.before.series.n) - (day.Series - day.New)
	for name, series := range n.metrics {
		day.Metrics = append(day.Metrics, ChurnMetric{name, series})
	}
	slices.SortFunc(day.Metrics, func(a, b ChurnMetric) int { return cmp.Or(cmp.Compare(b.New, a.New), cmp.Compare(a.Name, b.Name)) })
	day.Metrics = slices.Clone(day.Metrics[:min(len(day.Metrics), MaxChurnRows)])
	for name, l := range n.labels {
		if l.values > 0 {
			day.Labels = append(day.Labels, ChurnLabel{name, l.values, l.series})
		}
	}
	slices.SortFunc(day.Labels, func(a, b ChurnLabel) int {
		return cmp.Or(cmp.Compare(b.NewValues, a.NewValues), cmp.Compare(b.New, a.New), cmp.Compare(a.Name, b.Name))
	})
	day.Labels = slices.Clone(day.Labels[:min(len(day.Labels), MaxChurnRows)])
	return day
}

// churnCache holds comparisons of days by what determines them. It is safe for concurrent
// use; the zero value is empty.
type churnCache struct {
	mu   sync.Mutex
	days map[string]ChurnDay
}

// maxCachedDays bounds a churnCache: more than a report has.
const maxCachedDays = 512

func (c *churnCache) get(key string) (ChurnDay, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	day, ok := c.days[key]
	return day, ok
}

func (c *churnCache) put(key string, day ChurnDay) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.days == nil || len(c.days) >= maxCachedDays {
		c.days = make(map[string]ChurnDay)
	}
	c.days[key] = day
}
