package rollup

import (
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// By retention rules the samples of some series expire while those of others are kept. A
// day that is rolled up again then has buckets that no samples are left of: they are
// carried over from the block that the day had before. Buckets that have expired by
// rules are not made, and not written again. Samples that a rule hides do not come to
// stand in for buckets.

// oldTier are the buckets that a day had before in a tier.
type oldTier struct {
	*source
	carried   *roaring.Bitmap  // series whose samples have expired and whose buckets are kept
	deletions *block.Deletions // that the buckets do not know
	lost      []model.TimeRange
}

// openOld opens the blocks of the tiers that have buckets to be carried over. A block
// that cannot be read loses them.
func (r *roller) openOld(ctx context.Context) error {
	st := r.v.State()
	if r.day >= st.HighestFloor(block.Raw) {
		return nil
	}
	for _, t := range r.tiers {
		c, ok := st.CoverageOf(t.tier, r.day)
		if !ok || c.Block == "" {
			continue
		}
		e := r.v.Find(c.Block)
		if e == nil || e.Block() == nil || r.o.Skip != nil && r.o.Skip(c.Block) {
			r.lose(r.span)
			continue
		}
		carried, err := r.v.Carried(ctx, e, r.day)
		if err == nil && carried.IsEmpty() {
			continue
		}
		var deletions *block.Deletions
		if err == nil {
			deletions, err = newerDeletions(ctx, st, e, &c)
		}
		if errors.Is(err, format.ErrCorrupt) {
			r.lose(r.span)
			r.result.Lost = append(r.result.Lost, &SourceError{Block: e.Name, Err: err})
			continue
		} else if err != nil {
			return err
		}
		t.old = &oldTier{source: &source{entry: e}, carried: carried, deletions: deletions, lost: c.Lost}
		r.opened = append(r.opened, t.old.source)
	}
	return nil
}

// carry writes the buckets of the current series of the group that are carried over. It
// is called if the series has no samples.
func (r *roller) carry() error {
	for _, t := range r.tiers {
		if t.old == nil || !slices.Contains(r.sources.group, t.old.source) || !t.old.carried.Contains(t.old.it.Ordinal()) {
			continue
		}
		s := t.old.source
		r.reading = s
		s.buckets.Reset()
		var err error
		if s.standIn, err = s.it.Buckets(block.Raw.PartitionRange(r.day), model.AllBucketColumns, &s.buckets, s.standIn[:0]); err != nil {
			if err := s.damaged(err, r.note); err != nil {
				return err
			}
			continue
		}
		s.deleted = t.old.deletions.Ranges(s.it.Ordinal(), s.deleted)
		rows := withoutDeleted(&t.buckets, &s.buckets, s.deleted, t.tier, r.lose)
		if rows.Len() == 0 {
			continue
		}
		t.output.next(s)
		if err := t.output.buckets(rows); err != nil {
			return err
		}
		t.rolled++
	}
	return nil
}

// seeHidden notes whether retention rules hide samples of a raw block of the day.
func (r *roller) seeHidden(ctx context.Context, e *blockset.Entry) error {
	if r.hidesSamples || r.day >= r.v.State().HighestFloor(block.Raw) {
		return nil
	}
	if e.Block() == nil {
		r.hidesSamples = true
		return nil
	}
	hidden, err := r.v.BelowRules(ctx, e, block.Raw, r.day)
	if errors.Is(err, format.ErrCorrupt) {
		r.hidesSamples = true
		return nil
	} else if err != nil {
		return err
	}
	r.hidesSamples = !hidden.IsEmpty()
	return nil
}

// hides reports whether retention rules hide the buckets of a series of a raw block in a
// tier, so that none are made.
func (r *roller) hides(ctx context.Context, s *source, t *rolledTier) (bool, error) {
	if r.day >= r.v.State().HighestFloor(t.tier) {
		return false, nil
	}
	if s.hides == nil {
		s.hides = map[block.Tier]*roaring.Bitmap{}
	}
	hidden := s.hides[t.tier]
	if hidden == nil {
		var err error
		if hidden, err = r.v.BelowRules(ctx, s.entry, t.tier, r.day); err != nil {
			return false, err
		}
		s.hides[t.tier] = hidden
	}
	return hidden.Contains(s.it.Ordinal()), nil
}

// withoutDeleted returns rows without those that deletions cover: rows itself, or kept.
// lose is called for each bucket that a deletion cuts.
func withoutDeleted(kept, rows *model.Buckets, deleted block.DeletedRanges, tier block.Tier, lose func(model.TimeRange)) *model.Buckets {
	if len(deleted) == 0 {
		return rows
	}
	kept.Reset()
	from := 0
	for i, end := range rows.End {
		bucket := model.TimeRange{Min: end - tier.Ms() + 1, Max: end + 1}
		if !deleted.Overlaps(bucket) {
			continue
		}
		kept.AppendRange(rows, from, i)
		from = i + 1
		if !deleted.Covers(bucket) {
			lose(bucket)
		}
	}
	kept.AppendRange(rows, from, rows.Len())
	return kept
}

// addLost returns the lost ranges of an entry: those of this step, and where buckets were
// carried over those of the entry before.
func (t *rolledTier) addLost(lost block.DeletedRanges) []model.TimeRange {
	if t.old != nil {
		lost = slices.Clone(lost)
		for _, r := range t.old.lost {
			lost = lost.Add(r)
		}
	}
	return boundLost(lost)
}

// allSamples reports whether the samples of all series of the day are kept.
func (p *planner) allSamples(d *day) bool {
	return p.hasSamples(d) && d.start >= p.st.HighestFloor(block.Raw)
}

// expiredShare is the share of rows that retention rules hide at which a block is written
// again though its days are not all below the floor of the rule; expiredLittle is that of
// a block whose days are. With a smaller one it waits for a day.
const (
	expiredShare  = 1.0 / 3
	expiredLittle = 0.1
)

// expire returns the step that writes a block again of which retention rules hide rows.
// Usually that is once for each rule: when all days of the block are below its floor.
func (p *planner) expire() (Step, bool) {
	if p.o.Hidden == nil {
		return Step{}, false
	}
	for _, b := range p.st.RollupBlocks() {
		if b.MinTime >= p.st.HighestFloor(b.Tier) || p.quarantined(b.Name) || !fits(b.Size, foldTenths, p.o.FreeBytes) {
			continue
		}
		share, floor := p.o.Hidden(b.Name)
		end := b.Span().Max
		switch {
		case share <= 0:
		case p.o.Force, share >= expiredShare, floor >= end && share >= expiredLittle, floor != manifest.NoFloor && model.SubTime(floor, end) >= idleMs:
			return Step{Action: Erase, Tiers: []block.Tier{b.Tier}, Days: p.daysOf(b.Tier, b.Name), Bytes: b.Size, Off: !p.configured(b.Tier),
				Reason: "buckets that have expired by rules"}, true
		}
	}
	return Step{}, false
}
