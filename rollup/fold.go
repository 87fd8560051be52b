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
	"tsdb/partition/manifest"
)

// Run executes a step that was planned from version v, which the caller holds. After an
// error no block is left. A *SourceError names a block to quarantine.
//
// The bytes and names of the blocks depend on the blocks that are read, the step, the
// state of v and OmitResets only.
func Run(ctx context.Context, v *blockset.Version, step Step, o Options) (*Result, error) {
	switch step.Action {
	case Roll:
		return roll(ctx, v, step, o)
	case Fold, Erase:
		return fold(ctx, v, step, o)
	case Confirm:
		return step.Result(), nil
	}
	panic(fmt.Sprintf("BUG: step %d", step.Action))
}

// foldDay is a day whose rows in a source are written.
type foldDay struct {
	span  model.TimeRange
	index int // of its entry in folder.covers
}

// folder folds the rows of days into one block.
type folder struct {
	v       *blockset.Version
	o       Options
	tier    block.Tier
	covers  []manifest.Coverage // the entries, by day
	written []bool              // the day of the entry has rows
	lost    []block.DeletedRanges
	erased  []*block.Deletions // of the entry's block; nil = none
	deleted block.DeletedRanges

	sources sources
	reading *source
	cursor  []foldCursor // scratch
	kept    model.Buckets
	output  output
	result  *Result
}

// fold executes a Fold or Erase step: it writes the rows of the days into one block,
// one series at a time. Resets that were left out of a day stay left out, and those of
// other days stay. Erase leaves out the rows that deletions cover which the entry
// of their day has not applied.
func fold(ctx context.Context, v *blockset.Version, step Step, o Options) (_ *Result, err error) {
	f := &folder{v: v, o: o, tier: step.Tiers[0], result: &Result{Keys: map[string]manifest.KeyRange{}}}
	f.sources = sources{o: &f.o, lost: func(err error) error { return err }}
	defer func() {
		if err != nil {
			discard(v.Set(), f.result, []*output{&f.output})
			err = fmt.Errorf("%v %s: %w", step.Action, step.Reason, err)
		}
	}()
	defer func() {
		var p *panics.Error
		if errors.As(err, &p) && f.reading != nil {
			err = &SourceError{Block: f.reading.entry.Name, Err: err}
		}
	}()
	defer panics.Catch(&err)
	if err := f.open(ctx, step); err != nil {
		return nil, err
	}
	if err := f.read(ctx); err != nil {
		return nil, err
	}
	return f.result, f.finish()
}

// open opens the blocks that the entries of the days name, and begins the output.
func (f *folder) open(ctx context.Context, step Step) error {
	st := f.v.State()
	byName := map[string]*source{}
	var all []*source
	var made []block.Info
	for _, day := range step.Days {
		c, ok := st.CoverageOf(f.tier, day)
		if !ok || c.Block == "" {
			return fmt.Errorf("%v of %s has no rows", f.tier, manifest.FormatMs(day))
		}
		s := byName[c.Block]
		if s == nil {
			e := f.v.Find(c.Block)
			if e == nil || e.Block() == nil {
				return fmt.Errorf("block %s is missing or quarantined", c.Block)
			}
			hidden, err := f.v.Deletions(ctx, e, nil) // what retention rules hide
			if err != nil {
				return &SourceError{Block: e.Name, Err: err}
			}
			s = &source{entry: e, deletions: hidden}
			byName[c.Block] = s
			all = append(all, s)
			made = append(made, e.Info)
		}
		s.days = append(s.days, foldDay{span: c.Range(), index: len(f.covers)})
		var erased *block.Deletions
		if step.Action == Erase && (step.Off || !f.hasSamples(day)) {
			var err error
			if erased, err = newerDeletions(ctx, st, s.entry, &c); err != nil {
				return err
			}
			c.Tombstone = newestTombstone(st)
		}
		f.covers, f.erased = append(f.covers, c), append(f.erased, erased)
	}
	f.sources.runs = [][]*source{all}
	f.written, f.lost = make([]bool, len(f.covers)), make([]block.DeletedRanges, len(f.covers))
	slices.SortFunc(made, func(a, b block.Info) int { return block.CompareInfo(a, b) })
	tombstone := uint64(0)
	for _, c := range f.covers {
		tombstone = max(tombstone, c.Tombstone)
	}
	f.o.Writer.Taken, f.o.Writer.Repeated = f.v.Set().Taken, f.v.State().Repeated()
	var err error
	f.output.w, err = block.Create(f.v.Set().Store(), metaOf(f.tier, step.Days, tombstone, made), f.o.Writer)
	return err
}

// hasSamples reports whether the samples of the day are kept.
func (f *folder) hasSamples(day int64) bool {
	return day >= f.v.State().Floor && slices.ContainsFunc(f.v.Entries(), func(e *blockset.Entry) bool {
		return e.Tier == block.Raw && e.Level == block.L2 && e.Partition == day
	})
}

// newerDeletions returns the deletions that an entry has not applied, resolved to the
// series of its block.
func newerDeletions(ctx context.Context, st *manifest.State, e *blockset.Entry, c *manifest.Coverage) (*block.Deletions, error) {
	var newer []block.Deletion
	for i := range st.Tombstones {
		t := &st.Tombstones[i]
		if t.ID <= c.Tombstone || !t.Range.Overlaps(c.Range()) {
			continue
		}
		series, err := e.Matches(ctx, t)
		if err != nil {
			return nil, &SourceError{Block: e.Name, Err: err}
		}
		newer = append(newer, block.Deletion{Series: series, Range: t.Range})
	}
	return block.NewDeletions(newer), nil
}

// read reads all series.
func (f *folder) read(ctx context.Context) error {
	f.sources.begin()
	for {
		if more, err := f.sources.next(); err != nil || !more {
			f.reading = nil
			return err
		}
		f.output.next(f.sources.group[0])
		f.cursor = f.cursor[:0]
		for _, s := range f.sources.group {
			f.reading = s
			if err := f.load(s); err != nil {
				return err
			}
		}
		if err := f.write(); err != nil {
			return err
		}
		if err := f.sources.advance(ctx); err != nil {
			return err
		}
	}
}

// foldCursor is a day of a source that is to be written.
type foldCursor struct {
	foldDay
	source *source
}

// load reads the rows of the current series of a source.
func (f *folder) load(s *source) error {
	s.buckets.Reset()
	s.standIn = s.standIn[:0]
	all := model.TimeRange{Min: s.days[0].span.Min, Max: s.days[len(s.days)-1].span.Max}
	var err error
	if s.standIn, err = s.it.Buckets(all, model.AllBucketColumns, &s.buckets, s.standIn); err != nil {
		return s.damaged(err, f.sources.lost)
	}
	s.deleted = s.deletions.Ranges(s.it.Ordinal(), s.deleted)
	for _, d := range s.days {
		f.cursor = append(f.cursor, foldCursor{foldDay: d, source: s})
	}
	return nil
}

// write writes the rows of the current series, day by day.
func (f *folder) write() error {
	slices.SortFunc(f.cursor, func(a, b foldCursor) int { return a.index - b.index })
	for _, c := range f.cursor {
		if c.source.deleted.Covers(c.span) {
			continue
		}
		b := &c.source.buckets
		if rows := b.Slice(b.Search(c.span.Min), b.Search(c.span.Max)); rows.Len() > 0 {
			kept := f.erase(&c, &rows)
			if err := f.output.buckets(kept); err != nil {
				return err
			}
			f.written[c.index] = f.written[c.index] || kept.Len() > 0
		}
		if !slices.ContainsFunc(c.source.standIn, c.span.Overlaps) {
			continue
		}
		samples, err := standInSamples(c.source.it, c.span)
		if err != nil {
			return err
		}
		if err := f.output.standIn(c.span, samples); err != nil {
			return err
		}
		f.written[c.index] = true
	}
	return nil
}

// standInSamples returns the number of samples that stand in for a day. A chunk for
// several days has about as many for each.
func standInSamples(it *block.Iterator, day model.TimeRange) (uint64, error) {
	chunks, err := it.Chunks()
	for _, c := range chunks {
		if c.Kind == block.KindStandIn && c.Overlaps(day) {
			days := (c.MaxTime-c.MinTime)/model.DayMs + 1
			return max(uint64(c.Count)/uint64(days), 1), err
		}
	}
	return 1, err
}

// erase returns the rows of a day without those that deletions cover. Where a deletion
// cuts a bucket the rest of it is lost.
func (f *folder) erase(c *foldCursor, rows *model.Buckets) *model.Buckets {
	deletions := f.erased[c.index]
	if f.deleted = deletions.Ranges(c.source.it.Ordinal(), f.deleted); len(f.deleted) == 0 {
		return rows
	}
	return withoutDeleted(&f.kept, rows, f.deleted, f.tier, func(bucket model.TimeRange) { f.lost[c.index] = f.lost[c.index].Add(bucket) })
}

// finish finishes the block and makes the entries that name it.
func (f *folder) finish() error {
	name := ""
	if f.output.series > 0 {
		var err error
		if name, err = f.output.finish(f.result); err != nil {
			return err
		}
	} else {
		f.output.w.Abort()
		f.output.w = nil
	}
	for i, c := range f.covers {
		if c.Block = ""; f.written[i] {
			c.Block = name
		}
		if len(f.lost[i]) > 0 {
			lost := slices.Clone(block.DeletedRanges(c.Lost))
			for _, r := range f.lost[i] {
				lost = lost.Add(r)
			}
			c.Lost = boundLost(lost)
		}
		f.result.Cover = append(f.result.Cover, c)
	}
	return nil
}
