package operators

import (
	"cmp"
	"slices"

	"tsdb/internal/model"
	"tsdb/query/tiers"
	"tsdb/query/window"
	"tsdb/rollup/bucket"
	"tsdb/storage"
)

// tierScratch is the memory of a worker for rows.
type tierScratch struct {
	buckets  model.Buckets     // of the tier
	ends     []int64           // of the buckets that load read of the tier
	gaps     []model.TimeRange // where it has none
	samples  model.ColumnSet   // of the gaps
	builders []tierBuilder     // for the gaps
	filled   model.Buckets     // buckets of the tier and of the gaps
	failing  []int             // rows
	times    *window.RowTimes  // of the rows that load returned
	edge     model.ColumnSet   // samples of failing rows
	summed   int64             // samples in rows that load made of an edge
	mixed    model.Buckets     // filled, with rows of samples in the place of failing rows
	expired  []int64           // ends of failing buckets whose samples have expired
	rawFloor int64             // before it samples of the series have expired
}

// tierBuilder makes buckets of a resolution.
type tierBuilder struct {
	resolution int64 // milliseconds
	*bucket.Builder
}

// builder returns the builder of a resolution.
func (t *tierScratch) builder(resolution int64) *bucket.Builder {
	for _, b := range t.builders {
		if b.resolution == resolution {
			return b.Builder
		}
	}
	t.builders = append(t.builders, tierBuilder{resolution, bucket.NewBuilder(resolution)})
	return t.builders[len(t.builders)-1].Builder
}

// rowBytes is the memory of a row.
const rowBytes = 8*13 + 4*3 + 1

func (t *tierScratch) bytes() int64 {
	rows := cap(t.buckets.End) + cap(t.filled.End) + cap(t.mixed.End)
	return rowBytes*int64(rows) + 16*int64(cap(t.samples.T)+cap(t.edge.T))
}

// Limits on the share of a series' range that is read as samples beside buckets of the
// tier. Beyond them all of the series is read as samples.
const (
	// maxGaps is the share of gaps, 1/maxGaps. Buckets of their samples cost less to
	// make than samples to decode, but nothing is gained by them.
	maxGaps = 2
	// maxFailing is the share of the chunks with failing buckets in the other range,
	// 1/maxFailing: reading one bucket reads a chunk.
	maxFailing = 2
	// edgeMs is the time in a chunk: see package tiers.
	edgeMs = 6 * model.HourMs
)

// load returns the rows of series i, valid until the next load by the worker: buckets
// of the tier, buckets made of the samples in gaps of the tier, and samples in the
// place of buckets that fail. It returns false if the series must be read as samples.
func (r *tieredRows) load(w *worker, i int) (*model.Buckets, bool, error) {
	t := &w.tier
	t.summed, t.expired, t.rawFloor = 0, t.expired[:0], r.set.RawFloor(i)
	if r.uncut && r.function.LeftEdge() {
		if rows, err := r.loadWindow(w, i); rows != nil || err != nil {
			return rows, err == nil, err
		}
	}
	t.buckets.Reset()
	var err error
	if t.gaps, err = w.Buckets(r.set, i, r.ends, r.need, &t.buckets, t.gaps[:0]); err != nil {
		return nil, false, err
	}
	if r.function.NeedsResets() {
		r.dropWithoutResets(t)
	}
	t.ends = t.buckets.End
	rows := &t.buckets
	if len(t.gaps) > 0 {
		if !r.hasExpired(t) && (rows.Len() == 0 || !r.forced && lengthOf(t.gaps)*maxGaps > r.samples.Max-r.samples.Min) {
			return nil, false, nil
		}
		if err := r.fillGaps(w, i); err != nil {
			return nil, false, err
		}
		rows = &t.filled
	}
	if r.cannotHold(t, rows) {
		r.warnOfSamples(t)
		return nil, false, nil
	}
	t.times = w.windows.RowTimes(r.windows, rows, r.function, &r.known)
	t.failing = t.times.Failing(rows, r.coarsest, r.uncut)
	switch {
	case len(t.failing) == 0:
		return rows, true, nil
	case !r.forced && !r.hasExpired(t) && r.tooManyFail(t, rows):
		return nil, false, nil
	}
	ok, err := r.replaceFailing(w, i, rows)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		r.warnOfSamples(t)
		return nil, false, nil
	}
	t.times = w.windows.RowTimes(r.windows, &t.mixed, r.function, &r.known)
	return &t.mixed, true, nil
}

// CostOf returns what determines the cost of a read from tiers: which buckets may be read
// as samples, and when all of a series is.
func CostOf(r *tiers.Read, c *tiers.Choice, res tiers.Resolution) storage.TieredRead {
	if c.Check || c.Tier() == tiers.RawTier {
		return storage.TieredRead{}
	}
	read := storage.TieredRead{Cut: c.Cut(r), Resets: c.Function.NeedsResets()}
	resolution := c.Tier().Ms()
	tr := r.Range()
	// The first and the last bucket may reach out of the range.
	resolutionAt := func(t int64) int64 { return c.Resolution(min(max(t, tr.Min), tr.Max-1)) }
	w := &window.Windows{Grid: r.Grid, Moment: r.Moment, Width: r.Width}
	if !onlyEnds(w, slices.ContainsFunc(c.Slices, func(s tiers.Slice) bool { return s.Expired })) {
		var failing []int
		read.Failing = func(rows *model.Buckets, dst []model.TimeRange) []model.TimeRange {
			failing = window.FailingRows(w, rows, resolution, c.Function, false, failing[:0])
			for _, k := range failing {
				end := rows.End[k]
				dst = append(dst, model.TimeRange{Min: end - resolutionAt(end) + 1, Max: end + 1})
			}
			return dst
		}
	}
	if _, forced := res.Tier(); forced && (c.Function == bucket.Instant || r.Width >= resolution) {
		return read
	}
	all := tr.Max - tr.Min
	read.ReadsAll = func(gaps int64, cut []model.TimeRange) bool {
		length, chunk := int64(0), int64(0)
		for _, b := range cut {
			step := resolutionAt(b.Max - 1)
			if step == 0 {
				continue // samples, which are in gaps
			}
			for end := bucket.EndOf(b.Min, step); end < b.Max; end += step {
				if k := end / edgeMs; length == 0 || k != chunk {
					chunk = k
					length += edgeMs
				}
			}
		}
		return gaps*maxGaps > all || length*maxFailing > max(all-gaps, edgeMs*maxFailing)
	}
	return read
}

// dropWithoutResets makes gaps of the buckets that lack resets, unless their samples have
// expired.
func (r *tieredRows) dropWithoutResets(t *tierScratch) {
	if window.FlagsOf(t.buckets.Flags)&model.BucketNoResets == 0 {
		return
	}
	b, kept, next := &t.buckets, &t.mixed, 0
	kept.Reset()
	for k, flags := range b.Flags {
		if flags&model.BucketNoResets == 0 || r.isExpired(t, b.End[k]) {
			continue
		}
		kept.AppendRange(b, next, k)
		next = k + 1
		gap := r.bucketAt(b.End[k])
		if n := len(t.gaps); n > 0 && t.gaps[n-1].Max == gap.Min {
			t.gaps[n-1].Max = gap.Max
		} else {
			t.gaps = append(t.gaps, gap)
		}
	}
	kept.AppendRange(b, next, b.Len())
	t.buckets, t.mixed = t.mixed, t.buckets
	slices.SortFunc(t.gaps, func(a, b model.TimeRange) int { return cmp.Compare(a.Min, b.Min) })
}

func lengthOf(rs []model.TimeRange) int64 {
	n := int64(0)
	for _, tr := range rs {
		n += tr.Max - tr.Min
	}
	return n
}

// fillGaps sets filled to the buckets of the tier and those of the samples in its gaps.
// A bucket that the range of all windows cuts has the samples inside only.
func (r *tieredRows) fillGaps(w *worker, i int) error {
	t := &w.tier
	t.filled.Reset()
	t.samples.Reset()
	next := 0
	for _, gap := range t.gaps {
		k := t.buckets.Search(gap.Min)
		t.filled.AppendColumns(&t.buckets, next, k, r.need)
		next = k
		n := t.samples.Len()
		if err := w.BucketSamples(r.set, i, gap.Intersect(r.samples), &t.samples); err != nil {
			return err
		}
		part := t.samples.Slice(n, t.samples.Len())
		for part.Len() > 0 { // each slice has its resolution
			s, k := r.indexAt(part.T[0]), part.Len()
			if s+1 < len(r.slices) {
				k = part.Search(r.slices[s+1].from)
			}
			first := part.Slice(0, k)
			b := t.builder(r.slices[s].resolution)
			b.Add(&first, &t.filled)
			b.Flush(&t.filled)
			part = part.Slice(k, part.Len())
		}
	}
	t.filled.AppendColumns(&t.buckets, next, t.buckets.Len(), r.need)
	return nil
}

// countBuckets counts the buckets that load read.
func (r *tieredRows) countBuckets(t *tierScratch) {
	ends := t.ends
	for i := range r.slices {
		n := len(ends)
		if i+1 < len(r.slices) {
			n, _ = slices.BinarySearch(ends, r.slices[i+1].from)
		}
		if n > 0 {
			r.f.Run.countBuckets(r.slices[i].tier, n)
		}
		ends = ends[n:]
	}
}

// cannotHold reports whether rows cannot answer for the series because of what is in
// buckets whose samples have not expired. Of others it warns.
func (r *tieredRows) cannotHold(t *tierScratch, rows *model.Buckets) bool {
	if window.FlagsOf(rows.Flags)&r.noRows == 0 {
		return false
	}
	for k, flags := range rows.Flags {
		if flags&r.noRows != 0 && !r.isExpired(t, rows.End[k]) {
			return true
		}
	}
	for k, flags := range rows.Flags {
		if flags&r.noRows == 0 {
			continue
		}
		s := r.at(rows.End[k])
		r.warn(s, "of series with native histograms or start timestamps the "+s.tier.String()+" rollup holds the floats")
		if rows.Count[k] == 0 && flags&model.BucketHistogram != 0 {
			// The series has no float there, as if a stale marker were the newest entry.
			rows.Flags[k] |= model.BucketStale
		}
	}
	return false
}

// gapOf returns the first gap that ends at or after a bucket, and whether the bucket is
// in it. gaps are those from an earlier call on.
func gapOf(gaps []model.TimeRange, end int64) (rest []model.TimeRange, in bool) {
	for len(gaps) > 0 && gaps[0].Max <= end {
		gaps = gaps[1:]
	}
	return gaps, len(gaps) > 0 && gaps[0].Min <= end
}

// tooManyFail reports whether reading the samples of failing buckets costs more than
// the tier saves. The cost depends on the number of chunks that hold them.
func (r *tieredRows) tooManyFail(t *tierScratch, rows *model.Buckets) bool {
	gaps, in := t.gaps, false
	length, chunk := int64(0), int64(0)
	for _, k := range t.failing {
		end := rows.End[k]
		if gaps, in = gapOf(gaps, end); in {
			continue // its samples have been read
		}
		if c := end / edgeMs; length == 0 || c != chunk {
			chunk = c
			length += edgeMs
		}
	}
	all := r.samples.Max - r.samples.Min - lengthOf(t.gaps)
	return length*maxFailing > max(all, edgeMs*maxFailing)
}

// replaceFailing sets mixed to rows, with samples in the place of those that fail. It
// returns false if there are samples that rows cannot hold.
func (r *tieredRows) replaceFailing(w *worker, i int, rows *model.Buckets) (bool, error) {
	t := &w.tier
	t.mixed.Reset()
	next, gaps, in := 0, t.gaps, false
	for _, k := range t.failing {
		end := rows.End[k]
		t.mixed.AppendColumns(rows, next, k, r.need)
		next = k + 1
		slice := r.at(end)
		tr := r.bucketAt(end)
		if gaps, in = gapOf(gaps, end); in {
			from, to := t.samples.Search(tr.Min), t.samples.Search(tr.Max)
			t.mixed.AppendSamples(t.samples.T[from:to], t.samples.V[from:to], r.need)
			continue
		}
		expired := r.isExpired(t, end)
		if expired && !slice.kept {
			if err := r.keepExpired(t, rows, k, i); err != nil {
				return false, err
			}
			continue
		}
		if !expired {
			tr = tr.Intersect(r.samples)
		}
		t.edge.Reset()
		if err := w.BucketSamples(r.set, i, tr, &t.edge); err != nil {
			return false, err
		}
		others := len(t.edge.H) > 0 || r.noRows&model.BucketStart != 0 && len(t.edge.ST) > 0
		switch {
		case expired && (others || !isComplete(&t.edge, rows, k)):
			if err := r.keepExpired(t, rows, k, i); err != nil {
				return false, err
			}
		case others:
			return false, nil
		default:
			t.mixed.AppendSamples(t.edge.T, t.edge.V, r.need)
		}
	}
	t.mixed.AppendColumns(rows, next, rows.Len(), r.need)
	return true, nil
}
