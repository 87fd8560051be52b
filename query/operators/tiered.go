package operators

import (
	"sort"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/query/source"
	"tsdb/query/tiers"
	"tsdb/query/window"
	"tsdb/rollup/bucket"
)

// tier chooses the tier that the selector reads.
func (s *Selector) tier(f *Evaluation) (tiers.Choice, error) {
	return tiers.Choose(&s.tiered, f.resolution, &f.tiers)
}

// tieredRows reads a selection's series as rows: buckets of a tier, and samples where
// the tier has no bucket or where a bucket does not hold what a window needs.
type tieredRows struct {
	f          *Evaluation
	set        *source.TieredSet
	windows    *window.Windows
	function   bucket.Function
	noRows     model.BucketFlags // of rows that make a series be read as samples
	resolution int64             // milliseconds
	forced     bool              // the query asked for the tier, and windows have room for a bucket: cost does not matter
	floor      int64             // samples before it have expired, notExpired if none that would be read
	name, tier string            // of the function and the tier, for people
	samples    model.TimeRange   // of all windows
	ends       model.TimeRange   // of the buckets in samples
}

// openTier selects the series of a tier.
func (s *Selector) openTier(f *Evaluation, c tiers.Choice, w *window.Windows, startTimestamps bool) (*tieredRows, error) {
	set, err := f.querier.SelectTiered(f.Context(), s.listed(), c.Tier, s.matchers)
	if err != nil {
		return nil, err
	}
	f.annotateAll(set.Warnings())
	r := c.Tier.Ms()
	rows := &tieredRows{
		f: f, set: set, windows: w, function: c.Function, noRows: c.Function.NoRows(startTimestamps), resolution: r,
		floor: notExpired, name: "the last sample", tier: c.Tier.String(),
		samples: s.tr, ends: model.TimeRange{Min: s.tr.Min, Max: bucket.EndOf(s.tr.Max-1, r) + 1},
	}
	if _, forced := f.resolution.Tier(); forced {
		rows.forced = c.Function == bucket.Instant || w.Width >= r
	}
	if c.Expired {
		rows.floor = f.tiers.RawFloor
	}
	if name := s.tiered.Function; name != "" {
		rows.name = name
	}
	return rows, nil
}

// opening opens something once, when a worker first needs it.
type opening[T any] struct {
	mu     sync.Mutex
	opened bool
	value  T
	err    error
}

// get returns what open returned when it was called first. A worker that waits for
// another one holds no CPU slot: the other one may have yielded its own.
func (o *opening[T]) get(f *Evaluation, open func() (T, error)) (T, error) {
	f.Yielder.Release()
	o.mu.Lock()
	f.Yielder.Acquire()
	defer o.mu.Unlock()
	if !o.opened {
		o.value, o.err = open()
		o.opened = true
	}
	return o.value, o.err
}

// indexOf returns the index of a series in a sorted selection, false if it is not
// there.
func indexOf(s interface {
	len() int
	labels(i int) (labels.Labels, bool)
}, ls labels.Labels) (int, bool) {
	return sort.Find(s.len(), func(i int) int {
		other, _ := s.labels(i)
		return labels.Compare(ls, other)
	})
}
