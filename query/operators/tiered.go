package operators

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query/source"
	"tsdb/query/tiers"
	"tsdb/query/window"
	"tsdb/rollup/bucket"
)

// tier chooses the tier that the selector reads.
func (s *Selector) tier(f *Evaluation) (tiers.Choice, error) {
	c, err := tiers.Choose(&s.tiered, f.resolution, &f.tiers)
	if err != nil {
		return c, err
	}
	if f.resolution == tiers.Raw && f.tiers.HasExpired(s.tr) {
		f.annotate(expiredf(annotations.PromQLInfo, f.tiers.RawFloor, "the resolution raw reads no rollups"))
	}
	if c.Check {
		return tiers.Choice{Tier: tiers.RawTier}, s.checkKept(f, c.Tier)
	}
	return c, nil
}

// checkKept returns an error unless all samples that the selector reads are there:
// those that have expired stand in for buckets of a tier.
func (s *Selector) checkKept(f *Evaluation, tier block.Tier) error {
	part := f.tiers.ExpiredPart(s.tr)
	set, err := f.querier.SelectTieredAgain(f.Context(), part, tier, s.matchers)
	if err != nil {
		return err
	}
	part.Max = bucket.EndOf(part.Max-1, tier.Ms()) + 1
	return f.withWorker(func(w *worker) error {
		t := &w.tier
		for i := range set.Len() {
			if err := f.Check(); err != nil {
				return err
			}
			t.buckets.Reset()
			if t.gaps, err = w.Buckets(set, i, part, 0, &t.buckets, t.gaps[:0]); err != nil {
				return err
			}
			if t.buckets.Len() > 0 {
				return tiers.Expired(&s.tiered, &f.tiers, tier)
			}
		}
		return nil
	})
}

// tieredRows reads a selection's series as rows: buckets of a tier, and samples where
// the tier has no bucket or where a bucket does not hold what a window needs.
type tieredRows struct {
	f          *Evaluation
	set        *source.TieredSet
	windows    *window.Windows
	function   bucket.Function
	known      window.RowTimesCache
	uncut      bool // see window.FailingRows
	need       model.BucketColumns
	noRows     model.BucketFlags // of rows that make a series be read as samples
	resolution int64             // milliseconds
	forced     bool              // the query asked for the tier, and windows have room for a bucket: cost does not matter
	floor      int64             // samples before it have expired, notExpired if none that would be read
	kept       bool              // samples before it may stand in for buckets of a finer tier
	name, tier string            // of the function and the tier, for people
	refused    tiers.ExpiredError
	samples    model.TimeRange // of all windows
	ends       model.TimeRange // of the buckets in samples
}

// openTier selects the series of a tier.
func (s *Selector) openTier(f *Evaluation, c tiers.Choice, w *window.Windows, startTimestamps bool) (*tieredRows, error) {
	r := c.Tier.Ms()
	listed, ends := s.listed(), model.TimeRange{Min: s.tr.Min, Max: bucket.EndOf(s.tr.Max-1, r) + 1}
	if c.Expired { // a window may move back by a bucket
		listed.Min, ends.Min = listed.Min-r, ends.Min-r
	}
	set, err := f.querier.SelectTiered(f.Context(), listed, c.Tier, s.matchers)
	if err != nil {
		return nil, err
	}
	f.annotateAll(set.Warnings())
	rows := &tieredRows{
		f: f, set: set, windows: w, function: c.Function, noRows: c.Function.NoRows(startTimestamps), resolution: r,
		floor: notExpired, name: "the last sample", tier: c.Tier.String(),
		samples: s.tr, ends: ends,
	}
	// One row of a long window costs less to replace than a column to read.
	rows.uncut = w.N == 1 && w.Width >= 4*edgeMs && !c.Expired
	rows.need = c.Function.Needs(!rows.uncut && !w.BeginAt(r))
	if _, forced := f.resolution.Tier(); forced {
		rows.forced = c.Function == bucket.Instant || w.Width >= r
	}
	if c.Expired {
		rows.floor = f.tiers.RawFloor
		part := f.tiers.ExpiredPart(s.tr)
		rows.kept = slices.ContainsFunc(f.tiers.Tiers, func(a tiers.Available) bool { return a.Tier < c.Tier && a.Kept.Overlaps(part) })
	}
	if name := s.tiered.Function; name != "" {
		rows.name = name
	}
	rows.refused = tiers.ExpiredError{RawFloor: rows.floor, Tier: c.Tier, Function: s.tiered.Function}
	return rows, nil
}

// opening opens something once, when a worker first needs it.
type opening[T any] struct {
	opened atomic.Bool // value and err are set
	mu     sync.Mutex
	value  T
	err    error
}

// get returns what open returned when it was called first. A worker that waits for
// another one holds no CPU slot: the other one may have yielded its own.
func (o *opening[T]) get(f *Evaluation, open func() (T, error)) (T, error) {
	if o.opened.Load() {
		return o.value, o.err
	}
	f.Yielder.Release()
	o.mu.Lock()
	f.Yielder.Acquire()
	defer o.mu.Unlock()
	if !o.opened.Load() {
		o.value, o.err = open()
		o.opened.Store(true)
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
