package storage

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// TieredRead tells what a query does with a tiered selection. The zero value reads the
// buckets of the tiers.
type TieredRead struct {
	// Cut are the buckets that windows cut, sorted and disjoint. They may be read as
	// samples.
	Cut []model.TimeRange
	// Failing appends the times of those rows of a series that do not hold what windows
	// need, sorted: of Cut, only these are read as samples. Rows have times and flags
	// alone. nil = all of Cut is.
	Failing func(rows *model.Buckets, dst []model.TimeRange) []model.TimeRange
	// Resets tells that buckets without resets are read as samples.
	Resets bool
	// ReadsAll reports whether all of a series may be read as samples because of the
	// length of its gaps in milliseconds and of the buckets that windows cut and that fail;
	// nil = no.
	ReadsAll func(gaps int64, cut []model.TimeRange) bool
}

// TieredCost is a bound of the cost of reading a tiered selection: the buckets of the
// tiers, and the samples that are read where these have none to give or where windows
// cut them. Not counted are samples that are read because of native histograms, start
// timestamps, NaN, infinities or huge values in a bucket.
type TieredCost struct {
	Series  uint64
	Buckets Cost // Samples are buckets; Series those with buckets
	Raw     Cost // Series are those with samples to be read

	// Covered are the times that the tier answers, sorted and disjoint; all else is read
	// as samples. Bounds are those of days, or of the selection.
	Covered       []model.TimeRange
	CoveredDays   uint64 // that the tier answers
	UncoveredDays uint64 // with samples, but not rolled up
	StandInDays   uint64 // for which samples stand in, for all series
	StandInSeries uint64 // for which samples stand in on covered days
	NewerSeries   uint64 // with something newer than the tier on covered days
}

// ExplainTiered returns the cost of reading a range from tiers, as Explain does for
// samples.
func (v *View) ExplainTiered(ctx context.Context, tenant uint32, tr model.TimeRange, tiers TierSlices, read TieredRead, ms ...*labels.Matcher) (TieredCost, []error, error) {
	set, err := v.SelectTiered(ctx, tenant, tr, tiers, ms...)
	if err != nil {
		return TieredCost{}, nil, err
	}
	c := tieredCoster{set: set, read: read, buckets: coster{state: v.st}, raw: coster{state: v.st, seen: make(map[seenChunk]bool)}}
	defer c.reader.Release()
	c.countDays()
	for _, s := range set.series {
		if err := v.checkpoint(ctx); err != nil {
			return TieredCost{}, nil, err
		}
		if err := c.add(ctx, s); err != nil {
			return TieredCost{}, nil, err
		}
	}
	cost := c.cost
	cost.Series = uint64(set.Len())
	withBuckets, withSamples := cost.Buckets.Series, cost.Raw.Series
	cost.Buckets, cost.Raw = c.buckets.sum(), c.raw.sum()
	cost.Buckets.Series, cost.Raw.Series = withBuckets, withSamples
	return cost, set.Warnings(), nil
}

// tieredCoster adds up the cost of reading series of a set.
type tieredCoster struct {
	set          *TieredSet
	read         TieredRead
	cost         TieredCost
	buckets, raw coster
	scratch      newerScratch
	chunks       []block.Chunk
	gaps, cut    []model.TimeRange
	reader       TieredReader
	rows         model.Buckets
	fine         bool // a tier finer than an hour was read, which may lack resets
	old          bool // buckets of the series were read whose samples have expired
}

// countDays counts the days of the selection.
func (c *tieredCoster) countDays() {
	st := c.set.view.st
	c.cost.CoveredDays, c.cost.Covered = uint64(len(c.set.covered)), c.set.coveredTimes
	standIn := make(map[int64]bool)
	for key, cover := range st.blocks.State().Coverage {
		if cover.StandIn && key.Tier == c.set.tiers.At(key.Range().Min) && key.Range().Overlaps(c.set.rawTimes) {
			standIn[key.Day] = true
		}
	}
	c.cost.StandInDays = uint64(len(standIn))
	days := make(map[int64]bool)
	count := func(held model.TimeRange) {
		for _, r := range c.set.runs {
			for both := held.Intersect(r.times); !both.Empty(); {
				day := block.Raw.PartitionRange(both.Min)
				days[day.Min] = !standIn[day.Min]
				both.Min = day.Max
			}
		}
	}
	for _, e := range st.overlapping(c.set.rawTimes) {
		count(e.TimeRange())
	}
	for _, b := range st.buffersIn(c.set.rawTimes) {
		s := b.Stats()
		count(model.Inclusive(s.MinTime, s.MaxTime))
	}
	for _, uncovered := range days {
		if uncovered {
			c.cost.UncoveredDays++
		}
	}
}

// add adds the cost of a series.
func (c *tieredCoster) add(ctx context.Context, s *TieredSeries) error {
	var err error
	if c.gaps, err = s.newer(ctx, c.set.times, &c.scratch, c.gaps[:0]); err != nil {
		return err
	}
	if len(c.gaps) > 0 {
		c.cost.NewerSeries++
	}
	if err := c.addRollups(s); err != nil {
		return err
	}
	for _, r := range s.raw {
		c.gaps = append(c.gaps, c.set.runs[r.run].times)
	}
	if c.read.Resets && c.fine {
		if err := c.addWithoutResets(ctx, s); err != nil {
			return err
		}
	}
	cut, err := c.cutOf(ctx, s)
	if err != nil {
		return err
	}
	whole := lengthOf(mergeRanges(slices.Clone(c.gaps)))
	gaps := mergeRanges(append(c.gaps, cut...))
	twice := uint64(0)
	if c.read.ReadsAll != nil && !c.old && c.read.ReadsAll(whole, cut) {
		// A read may learn of it only once it has the samples of the gaps.
		before := c.raw
		if _, err := c.addRaw(ctx, s, gaps); err != nil {
			return err
		}
		twice = c.raw.cost.Samples - before.cost.Samples
		c.raw.cost, c.raw.bytes = before.cost, before.bytes
		gaps = append(gaps[:0], c.set.times)
	}
	any, err := c.addRaw(ctx, s, gaps)
	if any {
		c.cost.Raw.Series++
		c.raw.cost.Samples += twice
	}
	return err
}

// addRaw adds the cost of the samples of a series in ranges. It reports whether it may have
// some.
func (c *tieredCoster) addRaw(ctx context.Context, s *TieredSeries, ranges []model.TimeRange) (any bool, err error) {
	clear(c.raw.seen)
	for _, tr := range ranges {
		tr = tr.Intersect(c.set.rawTimes)
		for !tr.Empty() {
			part, series, err := s.rawIn(ctx, tr)
			if err != nil {
				return any, err
			}
			if series != nil {
				any = true
				if err := c.raw.add(series, part); err != nil {
					return any, err
				}
			}
			tr.Min = part.Max
		}
	}
	return any, nil
}

// cutOf returns the buckets of a series that are read as samples because windows cut
// them. Ranges whose rows cannot be read are added to gaps.
func (c *tieredCoster) cutOf(ctx context.Context, s *TieredSeries) ([]model.TimeRange, error) {
	if c.read.Failing == nil || len(c.read.Cut) == 0 {
		return c.read.Cut, nil
	}
	c.rows.Reset()
	var err error
	if c.gaps, err = c.reader.Buckets(ctx, s, c.set.times, 0, &c.rows, c.gaps); err != nil {
		return nil, err
	}
	c.cut = c.read.Failing(&c.rows, c.cut[:0])
	return c.cut, nil
}

// addRollups adds the cost of the buckets of a series, and the days on which its
// samples stand in to gaps.
func (c *tieredCoster) addRollups(s *TieredSeries) error {
	buckets, standIn := false, false
	c.fine, c.old = false, false
	for _, src := range s.sources {
		if src.block == nil || !c.set.blocks[src.block.number].rollup {
			continue
		}
		for _, tr := range c.set.blocks[src.block.number].times {
			var err error
			if c.chunks, err = src.block.Chunks(src.ord, tr, c.chunks[:0]); err != nil {
				if err = c.set.base.warnOf(err); err != nil {
					return err
				}
			}
			for _, k := range c.chunks {
				switch k.Kind {
				case block.KindStandIn:
					c.gaps, standIn = append(c.gaps, model.Inclusive(k.MinTime, k.MaxTime).Intersect(tr)), true
				default:
					c.buckets.use(src.block.Block)
					c.buckets.addChunk(k)
					buckets = true
					c.fine = c.fine || c.set.tiers.At(k.MinTime) < block.Hour
					c.old = c.old || !c.set.isRaw(max(k.MinTime, tr.Min))
				}
			}
		}
	}
	if buckets {
		c.cost.Buckets.Series++
	}
	if standIn {
		c.cost.StandInSeries++
	}
	return nil
}

// addWithoutResets adds the buckets of a series that have no resets to gaps, unless their
// samples have expired. It reads the flags of buckets: the directory does not have them.
func (c *tieredCoster) addWithoutResets(ctx context.Context, s *TieredSeries) error {
	c.rows.Reset()
	if _, err := c.reader.Buckets(ctx, s, c.set.times, 0, &c.rows, nil); err != nil {
		return err
	}
	for k, flags := range c.rows.Flags {
		if end := c.rows.End[k]; flags&model.BucketNoResets != 0 && c.set.isRaw(end) {
			c.gaps = append(c.gaps, c.set.tiers.whole(model.Inclusive(end, end)))
		}
	}
	return nil
}

func lengthOf(rs []model.TimeRange) (n int64) {
	for _, r := range rs {
		n += r.Max - r.Min
	}
	return n
}
