package rollup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/rollup/bucket"
)

// roller rolls up one day.
type roller struct {
	v    *blockset.Version
	o    Options
	day  int64
	span model.TimeRange // samples of the day that are kept

	opened  []*source // in no order
	sources sources
	reading *source       // for the blame of a panic
	tiers   []*rolledTier // finest first
	// Those of the tiers that are made of the current series.
	builders []*bucket.Builder
	buckets  []*model.Buckets
	rows     model.ColumnSet // scratch: samples of a series
	part     model.ColumnSet // scratch
	both     model.ColumnSet // scratch
	lost     block.DeletedRanges
	result   *Result
	// hidesSamples means that retention rules hide samples of the day, or may: those that stand in
	// are named series by series then, so that the others stay hidden.
	hidesSamples bool
}

// rolledTier is what is made for one tier.
type rolledTier struct {
	tier    block.Tier
	output  output // without a Writer if the samples of all series stand in
	builder *bucket.Builder
	buckets model.Buckets // of the current series
	standIn bool          // the samples of the current series stand in
	rolled  int           // series with buckets
	stood   int           // series whose samples stand in
	hidden  bool          // retention rules hide the buckets of the current series
	old     *oldTier      // nil = nothing is carried over
}

// roll executes a Roll step: it reads the samples of all L2s of the day once, as
// they are with the deletions that st records, and makes the buckets of all tiers.
// What cannot be read is left out and noted in the entries.
//
// Memory: one chunk of a series, its buckets of the day, and what a block.Writer
// needs for each series.
func roll(ctx context.Context, v *blockset.Version, step Step, o Options) (_ *Result, err error) {
	r := &roller{v: v, o: o, day: step.Days[0], result: &Result{Keys: map[string]manifest.KeyRange{}}}
	r.span = v.State().Kept().Intersect(block.Raw.PartitionRange(r.day))
	r.sources = sources{o: &r.o, lost: r.note}
	defer func() {
		if err != nil {
			r.discard()
			err = fmt.Errorf("roll up %s: %w", step.Reason, err)
		}
	}()
	defer func() {
		var p *panics.Error
		if errors.As(err, &p) && r.reading != nil {
			err = &SourceError{Block: r.reading.entry.Name, Err: err}
		}
	}()
	defer panics.Catch(&err)
	made, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range step.Tiers {
		r.tiers = append(r.tiers, &rolledTier{tier: t, builder: bucket.NewBuilder(t.Ms())})
	}
	if err := r.openOld(ctx); err != nil {
		return nil, err
	}
	if err := r.chooseIndex(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(r.opened, func(a, b *source) int { return compareKeys(a.entry, b.entry) })
	for _, s := range r.opened {
		r.sources.addDisjoint(s)
	}
	if err := r.create(ctx, made); err != nil {
		return nil, err
	}
	if err := r.read(ctx); err != nil {
		return nil, err
	}
	return r.result, r.finish(made)
}

// open opens the L2s of the day and returns their descriptions.
func (r *roller) open(ctx context.Context) (made []block.Info, err error) {
	st := r.v.State()
	var l2 []*blockset.Entry
	for _, e := range r.v.Entries() {
		if e.Tier == block.Raw && e.Level == block.L2 && e.Partition == r.day {
			l2 = append(l2, e)
		}
	}
	slices.SortFunc(l2, compareKeys)
	for _, e := range l2 {
		made = append(made, e.Info)
		if err := r.seeHidden(ctx, e); err != nil {
			return nil, err
		}
		if e.Block() == nil || r.o.Skip != nil && r.o.Skip(e.Name) {
			r.lose(e.Info.TimeRange())
			r.result.Lost = append(r.result.Lost, &SourceError{Block: e.Name, Err: e.Err()})
			continue
		}
		deletions, err := r.v.Deletions(ctx, e, st.Tombstones)
		if err != nil && !errors.Is(err, format.ErrCorrupt) {
			return nil, err
		} else if err != nil { // what is deleted is not known
			r.lose(e.Info.TimeRange())
			r.result.Lost = append(r.result.Lost, &SourceError{Block: e.Name, Err: err})
			continue
		}
		r.opened = append(r.opened, &source{entry: e, deletions: deletions})
	}
	if len(made) == 0 {
		return nil, fmt.Errorf("no L2s of %s", manifest.FormatMs(r.day))
	}
	return made, nil
}

// chooseIndex makes the tiers copy the index of the only source, if it is intact.
func (r *roller) chooseIndex(ctx context.Context) error {
	if len(r.opened) != 1 {
		return nil
	}
	b := r.opened[0].entry.Block()
	intact, err := b.IntactIndex(ctx)
	if intact {
		r.o.Writer.Index, r.opened[0].alone = b, true
	}
	return err
}

// create creates the blocks of all tiers that will have buckets.
func (r *roller) create(ctx context.Context, made []block.Info) error {
	r.o.Writer.Taken, r.o.Writer.Repeated, r.o.Writer.Identities = r.v.Set().Taken, r.v.State().Repeated(), new(block.SharedIdentities)
	for _, t := range r.tiers {
		if all, err := r.sources.standIn(ctx, t.tier); err != nil {
			return err
		} else if all && t.old == nil && !r.hidesSamples {
			continue
		}
		w, err := block.Create(r.v.Set().Store(), metaOf(t.tier, []int64{r.day}, newestTombstone(r.v.State()), made), r.o.Writer)
		if err != nil {
			return err
		}
		t.output.w = w
	}
	return nil
}

// read reads all series.
func (r *roller) read(ctx context.Context) error {
	var last *block.SeriesEntry
	r.sources.begin()
	for {
		if more, err := r.sources.next(); err != nil || !more {
			r.reading = nil
			return err
		}
		s := r.sources.group[0]
		for _, o := range r.sources.group[1:] {
			switch {
			case o.entry.Tier != block.Raw:
			case s.entry.Tier != block.Raw:
				s = o
			default: // L2s of a day share no series
				if err := r.note(&SourceError{Block: o.entry.Name, Err: format.Corrupt("series %v is in %s, too", o.at.Labels, s.entry.Name)}); err != nil {
					return err
				}
			}
		}
		if last != nil && !s.alone && compareSeries(*last, s.at) >= 0 {
			return &SourceError{Block: s.entry.Name, Err: format.Corrupt("series %v is not in order", s.at.Labels)}
		}
		if !s.alone {
			at := s.at
			last = &at
		}
		r.reading = s
		samples := uint64(0)
		if s.entry.Tier == block.Raw {
			var err error
			if samples, err = r.series(ctx, s); err != nil {
				return err
			}
		}
		if samples == 0 {
			if err := r.carry(); err != nil {
				return err
			}
		}
		if err := r.sources.advance(ctx); err != nil {
			return err
		}
	}
}

// series makes the buckets of the current series of a raw source, and returns how many
// samples it has.
func (r *roller) series(ctx context.Context, s *source) (samples uint64, err error) {
	chunks, err := s.it.Chunks()
	if err != nil {
		if err := s.damaged(err, r.note); err != nil {
			return 0, err
		}
	}
	s.deleted = s.deletions.Ranges(s.it.Ordinal(), s.deleted)
	r.builders, r.buckets = r.builders[:0], r.buckets[:0]
	for _, t := range r.tiers {
		t.buckets.Reset()
		if t.hidden, err = r.hides(ctx, s, t); err != nil {
			if err := s.damaged(err, r.note); err != nil {
				return 0, err
			}
		}
		if t.standIn = t.output.w == nil || samplesStandIn(t.tier, chunks); !t.standIn && !t.hidden {
			r.builders, r.buckets = append(r.builders, t.builder), append(r.buckets, &t.buckets)
		}
	}
	for i := 0; i < len(chunks); {
		j, end := i+1, chunks[i].MaxTime
		for j < len(chunks) && chunks[j].MinTime <= end { // of another kind
			end = max(end, chunks[j].MaxTime)
			j++
		}
		if s.deleted.Covers(model.TimeRange{Min: chunks[i].MinTime, Max: end + 1}) {
			i = j
			continue
		}
		if err := r.load(s, chunks[i:j]); err != nil {
			return 0, err
		}
		s.deleted.Remove(&r.rows, 0)
		samples += uint64(r.rows.Len())
		bucket.AddAll(&r.rows, r.builders, r.buckets)
		i = j
	}
	r.result.Samples += samples
	if samples == 0 {
		return 0, nil
	}
	for _, t := range r.tiers {
		if t.hidden {
			continue
		}
		if err := t.write(s, block.Raw.PartitionRange(r.day), samples, r.o.OmitResets); err != nil {
			return 0, err
		}
	}
	return samples, nil
}

// load fills rows with the samples of chunks that overlap each other.
func (r *roller) load(s *source, chunks []block.Chunk) error {
	r.rows.Reset()
	for _, c := range chunks {
		part := &r.rows
		if part.Len() > 0 {
			part = &r.part
			part.Reset()
		}
		if err := s.it.Samples(c, r.span, part); err != nil {
			if !errors.Is(err, format.ErrCorrupt) {
				return err
			}
			r.lose(model.Inclusive(c.MinTime, c.MaxTime))
			r.result.Lost = append(r.result.Lost, err)
			continue
		}
		if part == &r.part && part.Len() > 0 {
			r.both.Reset()
			model.Merge(&r.both, &r.rows, part)
			r.rows, r.both = r.both, r.rows
		}
	}
	return nil
}

// write writes the buckets of a series with samples, or notes that these stand in.
func (t *rolledTier) write(s *source, day model.TimeRange, samples uint64, omitResets bool) error {
	t.output.next(s)
	if t.standIn {
		t.stood++
		if t.output.w == nil {
			return nil
		}
		return t.output.standIn(day, samples)
	}
	t.builder.Flush(&t.buckets)
	if omitResets {
		bucket.OmitResets(t.tier.Ms(), &t.buckets)
	}
	t.rolled++
	return t.output.buckets(&t.buckets)
}

// finish finishes the blocks and makes the entries.
func (r *roller) finish(made []block.Info) error {
	st := r.v.State()
	gen := st.SettledGen(r.day)
	var names []string
	for _, b := range made {
		gen = min(gen, b.MaxGen)
		names = append(names, b.Name)
	}
	slices.Sort(names)
	for _, t := range r.tiers {
		c := manifest.Coverage{
			CoverKey: manifest.CoverKey{Tier: t.tier, Day: r.day}, Gen: gen, Sources: names,
			Tombstone: newestTombstone(st), StandIn: t.stood > 0 && t.rolled == 0 && !r.hidesSamples, Lost: t.addLost(r.lost),
		}
		if old, ok := st.Coverage[c.CoverKey]; ok {
			// What the older entry claims is in the same L2s now.
			c.Gen, c.Tombstone = max(c.Gen, old.Gen), max(c.Tombstone, old.Tombstone)
		}
		var err error
		switch {
		case t.rolled > 0, t.stood > 0 && !c.StandIn:
			c.Block, err = t.output.finish(r.result)
		case t.output.w != nil:
			t.output.w.Abort()
			t.output.w = nil
		}
		if err != nil {
			return err
		}
		r.result.Cover = append(r.result.Cover, c)
	}
	return nil
}

// note notes that a series of the day, it is not known which, is lost.
func (r *roller) note(err error) error {
	r.lose(r.span)
	r.result.Lost = append(r.result.Lost, err)
	return nil
}

// lose notes a range of times whose samples cannot be read.
func (r *roller) lose(tr model.TimeRange) { r.lost = r.lost.Add(tr.Intersect(r.span)) }

func (r *roller) discard() {
	var outputs []*output
	for _, t := range r.tiers {
		outputs = append(outputs, &t.output)
	}
	discard(r.v.Set(), r.result, outputs)
}
