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
	if c.Expired {
		rows.floor = f.tiers.RawFloor
	}
	if name := s.tiered.Function; name != "" {
		rows.name = name
	}
	return rows, nil
}

// tierScratch is the memory of a worker for rows.
type tierScratch struct {
	buckets, rows model.Buckets
	samples       model.ColumnSet
	gaps, ranges  []model.TimeRange
	failing       []int
	expired       []int64 // ends of failing buckets whose samples have expired
}

// rowBytes is the memory of a row.
const rowBytes = 8*11 + 4*3 + 1

func (t *tierScratch) bytes() int64 {
	return rowBytes*int64(cap(t.buckets.End)+cap(t.rows.End)) + 16*int64(cap(t.samples.T))
}

// maxSampleShare is the largest share of a series' range, 1/maxSampleShare, that is
// read as samples beside buckets. Beyond it all of the series is read as samples: as
// rows, a sample costs several times what it costs in a column.
const maxSampleShare = 4

// load returns the rows of series i, valid until the next load by the worker. It
// returns false if the series must be read as samples.
func (r *tieredRows) load(w *worker, i int) (*model.Buckets, bool, error) {
	t := &w.tier
	t.buckets.Reset()
	var err error
	if t.gaps, err = w.Buckets(r.set, i, r.ends, r.function.Needs(), &t.buckets, t.gaps[:0]); err != nil {
		return nil, false, err
	}
	if r.cannotHold(&t.buckets) {
		r.asSamples(t)
		return nil, false, nil
	}
	t.failing = window.FailingRows(r.windows, &t.buckets, r.resolution, r.function, t.failing[:0])
	r.splitExpired(t)
	if len(t.gaps) == 0 && len(t.failing) == 0 {
		return &t.buckets, true, nil
	}
	t.ranges = r.sampleRanges(t, t.ranges[:0])
	length := int64(0)
	for _, tr := range t.ranges {
		length += tr.Max - tr.Min
	}
	expired := t.buckets.Len() > 0 && t.buckets.End[0] < r.floor
	if length*maxSampleShare > r.samples.Max-r.samples.Min && length > r.resolution && !expired {
		return nil, false, nil
	}
	ok, err := r.mix(w, i)
	if err == nil && !ok {
		r.asSamples(t)
	}
	return &t.rows, ok, err
}

// cannotHold reports whether rows cannot answer for the series because of what is in
// buckets whose samples have not expired. Of others it warns.
func (r *tieredRows) cannotHold(b *model.Buckets) bool {
	expired := 0
	if r.floor != notExpired {
		expired = b.Search(r.floor)
	}
	flags := model.BucketFlags(0)
	for _, f := range b.Flags[:expired] {
		flags |= f
	}
	if flags&r.noRows != 0 {
		r.warn("of series with native histograms or start timestamps the " + r.tier + " rollup holds the floats")
	}
	flags = 0
	for _, f := range b.Flags[expired:] {
		flags |= f
	}
	return flags&r.noRows != 0
}

// sampleRanges appends the ranges to be read as samples to dst: gaps and failing
// buckets, as far as there are windows, ascending.
func (r *tieredRows) sampleRanges(t *tierScratch, dst []model.TimeRange) []model.TimeRange {
	add := func(tr model.TimeRange) {
		tr = tr.Intersect(r.samples)
		if n := len(dst); n > 0 && dst[n-1].Max >= tr.Min {
			dst[n-1].Max = max(dst[n-1].Max, tr.Max)
		} else if !tr.Empty() {
			dst = append(dst, tr)
		}
	}
	gaps := t.gaps
	for _, k := range t.failing {
		end := t.buckets.End[k]
		for len(gaps) > 0 && gaps[0].Min <= end {
			add(gaps[0])
			gaps = gaps[1:]
		}
		add(model.TimeRange{Min: end - r.resolution + 1, Max: end + 1})
	}
	for _, tr := range gaps {
		add(tr)
	}
	return dst
}

// mix sets the worker's rows to the buckets outside of the ranges of samples, and to
// the samples in them. It returns false if there are samples that rows cannot hold.
func (r *tieredRows) mix(w *worker, i int) (bool, error) {
	t := &w.tier
	t.rows.Reset()
	next := 0
	for _, tr := range t.ranges {
		k := t.buckets.Search(tr.Min)
		t.rows.AppendRange(&t.buckets, next, max(k, next))
		next = max(t.buckets.Search(bucket.EndOf(tr.Max-1, r.resolution)+1), next)
		t.samples.Reset()
		if err := w.BucketSamples(r.set, i, tr, &t.samples); err != nil {
			return false, err
		}
		if len(t.samples.H) > 0 || r.noRows&model.BucketStart != 0 && len(t.samples.ST) > 0 {
			return false, nil
		}
		t.rows.AppendSamples(t.samples.T, t.samples.V)
	}
	t.rows.AppendRange(&t.buckets, next, t.buckets.Len())
	return true, nil
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
