package operators

import (
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

// tier chooses the tiers that the selector reads.
func (s *Selector) tier(f *Evaluation) (tiers.Choice, error) {
	view := s.view(f)
	c, err := tiers.Choose(&s.tiered, f.resolution, view)
	if err != nil {
		return c, err
	}
	if f.resolution == tiers.Raw {
		if at, expired := view.FirstExpired(s.tr); expired {
			f.annotate(expiredf(annotations.PromQLInfo, view.ExpiredUntil(at), "the resolution raw reads no rollups"))
		}
	}
	if at, split := view.FirstSplit(&c); split {
		f.annotate(expiredf(annotations.PromQLInfo, view.ExpiredUntil(at), "by retention rules some series may be left only in a rollup of another resolution than the one that is read"))
	}
	if c.Check {
		return tiers.Choice{}, s.checkKept(f, &c)
	}
	return c, nil
}

// view returns what can be read of the series of the selector.
func (s *Selector) view(f *Evaluation) *tiers.View {
	if !f.querier.HasRules() {
		return &f.tiers
	}
	v := f.querier.TiersFor(s.matchers)
	return &v
}

// checkKept returns an error unless all samples that the selector reads are there:
// those that have expired stand in for buckets of tiers.
func (s *Selector) checkKept(f *Evaluation, c *tiers.Choice) error {
	in, view := source.TierSlicesOf(c), s.view(f)
	part := model.TimeRange{Min: s.tr.Min, Max: min(s.tr.Max, view.RawFloor)}
	set, err := f.querier.SelectTieredAgain(f.Context(), part, in, s.matchers)
	if err != nil {
		return err
	}
	part.Max = bucket.EndOf(part.Max-1, in.Resolution(part.Max-1)) + 1
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
			if t.buckets.Len() > 0 && t.buckets.End[0] < set.RawFloor(i) {
				end := t.buckets.End[0]
				return tiers.Expired(&s.tiered, view, in.At(end), end)
			}
		}
		return nil
	})
}

// tieredRows reads a selection's series as rows: buckets of tiers, and samples where
// a tier has no bucket or where a bucket does not hold what a window needs.
type tieredRows struct {
	f        *Evaluation
	set      *source.TieredSet
	windows  *window.Windows
	function bucket.Function
	known    window.RowTimesCache
	uncut    bool // see window.FailingRows
	need     model.BucketColumns
	noRows   model.BucketFlags // of rows that make a series be read as samples
	slices   []rowSlice        // by time
	coarsest int64             // resolution of them, milliseconds
	forced   bool              // the query asked for the tier, and windows have room for a bucket: cost does not matter
	name     string            // of the function, for people
	refused  tiers.ExpiredError
	samples  model.TimeRange // of all windows
	ends     model.TimeRange // of the buckets in samples
}

// rowSlice is a part of the range of a selection: see tiers.Slice.
type rowSlice struct {
	from       int64      // where it begins; the first one holds what comes before, too
	tier       block.Tier // Raw = samples
	resolution int64      // of its rows, milliseconds; for samples that of a neighbor
	expired    bool       // samples have expired
	until      int64      // if expired, the time before which they have
	kept       bool       // if expired, samples may stand in for buckets of a finer tier
}

// slicesOf returns the slices of a choice that reads rollups.
func slicesOf(c *tiers.Choice, v *tiers.View) []rowSlice {
	all := make([]rowSlice, len(c.Slices))
	for i, s := range c.Slices {
		all[i] = rowSlice{from: s.Times.Min, tier: s.Tier, expired: s.Expired}
		if s.Tier != tiers.RawTier {
			all[i].resolution = s.Tier.Ms()
		}
		if s.Expired {
			all[i].until, all[i].kept = v.ExpiredUntil(s.Times.Max-1), v.StandIn(s.Times, s.Tier)
		}
	}
	// Buckets are made of samples like those that the tier before them has.
	for i := range all {
		if all[i].resolution == 0 && i > 0 {
			all[i].resolution = all[i-1].resolution
		}
	}
	for i := len(all) - 2; i >= 0; i-- {
		if all[i].resolution == 0 {
			all[i].resolution = all[i+1].resolution
		}
	}
	return all
}

// indexAt returns the index of the slice of a time.
func (r *tieredRows) indexAt(t int64) int {
	i := len(r.slices) - 1
	for i > 0 && r.slices[i].from > t {
		i--
	}
	return i
}

// at returns the slice of a time.
func (r *tieredRows) at(t int64) *rowSlice { return &r.slices[r.indexAt(t)] }

// bucketAt returns the times of the bucket with an end.
func (r *tieredRows) bucketAt(end int64) model.TimeRange {
	return model.TimeRange{Min: end - r.at(end).resolution + 1, Max: end + 1}
}

// openTier selects the series of tiers.
func (s *Selector) openTier(f *Evaluation, c tiers.Choice, w *window.Windows, startTimestamps bool) (*tieredRows, error) {
	rows := &tieredRows{
		f: f, windows: w, function: c.Function, noRows: c.Function.NoRows(startTimestamps), slices: slicesOf(&c, s.view(f)),
		coarsest: c.Tier().Ms(), name: "the last sample", samples: s.tr,
	}
	last := &rows.slices[len(rows.slices)-1]
	listed, ends := s.listed(), model.TimeRange{Min: s.tr.Min, Max: bucket.EndOf(s.tr.Max-1, last.resolution) + 1}
	anyExpired := rows.anyExpired()
	if anyExpired { // a window may move back by a bucket
		listed.Min, ends.Min = listed.Min-rows.coarsest, ends.Min-rows.coarsest
	}
	rows.ends = ends
	var err error
	if rows.set, err = f.querier.SelectTiered(f.Context(), listed, source.TierSlicesOf(&c), s.matchers); err != nil {
		return nil, err
	}
	f.annotateAll(rows.set.Warnings())
	rows.uncut = onlyEnds(w, anyExpired)
	rows.need = c.Function.Needs(!rows.uncut && !w.BeginAt(rows.coarsest))
	if _, forced := f.resolution.Tier(); forced {
		rows.forced = c.Function == bucket.Instant || w.Width >= rows.coarsest
	}
	if name := s.tiered.Function; name != "" {
		rows.name = name
	}
	rows.refused = tiers.ExpiredError{Function: s.tiered.Function, From: s.tiered.FirstAfter(s.view(f).RawFloor)}
	return rows, nil
}

// onlyEnds reports whether the buckets at both ends of the one window are read as samples
// whenever it cuts them: one row of a long window costs less to replace than a column to
// read.
func onlyEnds(w *window.Windows, anyExpired bool) bool {
	return w.N == 1 && w.Width >= 4*edgeMs && !anyExpired
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
