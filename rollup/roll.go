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
	if err := r.create(ctx, step.Tiers, made); err != nil {
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
		if e.Block() == nil || r.o.Skip != nil && r.o.Skip(e.Name) {
			r.lose(e.Info.TimeRange())
			r.result.Lost = append(r.result.Lost, &SourceError{Block: e.Name, Err: e.Err()})
			continue
		}
		deletions, err := e.Deletions(ctx, st.Tombstones)
		if err != nil && !errors.Is(err, format.ErrCorrupt) {
			return nil, err
		} else if err != nil { // what is deleted is not known
			r.lose(e.Info.TimeRange())
			r.result.Lost = append(r.result.Lost, &SourceError{Block: e.Name, Err: err})
			continue
		}
		r.sources.addDisjoint(&source{entry: e, deletions: deletions})
	}
	if len(made) == 0 {
		return nil, fmt.Errorf("no L2s of %s", manifest.FormatMs(r.day))
	}
	return made, nil
}

// create creates the blocks of all tiers that will have buckets.
func (r *roller) create(ctx context.Context, tiers []block.Tier, made []block.Info) error {
	r.o.Writer.Taken, r.o.Writer.Repeated = r.v.Set().Taken, r.v.State().Repeated()
	for _, t := range tiers {
		rt := &rolledTier{tier: t, builder: bucket.NewBuilder(t.Ms())}
		r.tiers = append(r.tiers, rt)
		if all, err := r.sources.standIn(ctx, t); err != nil {
			return err
		} else if all {
			continue
		}
		w, err := block.Create(r.v.Set().Store(), metaOf(t, []int64{r.day}, newestTombstone(r.v.State()), made), r.o.Writer)
		if err != nil {
			return err
		}
		rt.output.w = w
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
		for _, s := range r.sources.group[1:] { // L2s of a day share no series
			if err := r.note(&SourceError{Block: s.entry.Name, Err: format.Corrupt("series %v is in %s, too", s.at.Labels, r.sources.group[0].entry.Name)}); err != nil {
				return err
			}
		}
		s := r.sources.group[0]
		if last != nil && compareSeries(*last, s.at) >= 0 {
			return &SourceError{Block: s.entry.Name, Err: format.Corrupt("series %v is not in order", s.at.Labels)}
		}
		at := s.at
		last, r.reading = &at, s
		if err := r.series(s); err != nil {
			return err
		}
		if err := r.sources.advance(ctx); err != nil {
			return err
		}
	}
}

// series makes the buckets of the current series of a source.
func (r *roller) series(s *source) error {
	chunks, err := s.it.Chunks()
	if err != nil {
		if err := s.damaged(err, r.note); err != nil {
			return err
		}
	}
	s.deleted = s.deletions.Ranges(s.it.Ordinal(), s.deleted)
	r.builders, r.buckets = r.builders[:0], r.buckets[:0]
	for _, t := range r.tiers {
		t.buckets.Reset()
		if t.standIn = t.output.w == nil || samplesStandIn(t.tier, chunks); !t.standIn {
			r.builders, r.buckets = append(r.builders, t.builder), append(r.buckets, &t.buckets)
		}
	}
	samples := uint64(0)
	for i := 0; i < len(chunks); {
		j, end := i+1, chunks[i].MaxTime
		for j < len(chunks) && chunks[j].MinTime <= end { // of another kind
			end = max(end, chunks[j].MaxTime)
			j++
		}
		if err := r.load(s, chunks[i:j]); err != nil {
			return err
		}
		s.deleted.Remove(&r.rows, 0)
		samples += uint64(r.rows.Len())
		bucket.AddAll(&r.rows, r.builders, r.buckets)
		i = j
	}
	r.result.Samples += samples
	if samples == 0 {
		return nil
	}
	for _, t := range r.tiers {
		if err := t.write(s.at, block.Raw.PartitionRange(r.day), samples, r.o.OmitResets); err != nil {
			return err
		}
	}
	return nil
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
func (t *rolledTier) write(at block.SeriesEntry, day model.TimeRange, samples uint64, omitResets bool) error {
	t.output.next(at)
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
			Tombstone: newestTombstone(st), StandIn: t.stood > 0 && t.rolled == 0, Lost: boundLost(r.lost),
		}
		if old, ok := st.Coverage[c.CoverKey]; ok {
			// What the older entry claims is in the same L2s now.
			c.Gen, c.Tombstone = max(c.Gen, old.Gen), max(c.Tombstone, old.Tombstone)
		}
		var err error
		switch {
		case t.rolled > 0:
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
