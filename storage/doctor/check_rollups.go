package doctor

import (
	"errors"
	"fmt"
	"math"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/rollup/bucket"
	"tsdb/storage/datadir"
)

// maxPerDay bounds the series of one day of a rollup that are reported one by one.
const maxPerDay = 10

// checkRollups builds the buckets of every covered day again whose raw blocks are
// all there, and compares them with those that are stored, bit by bit. Series that
// samples cannot be read of are left out: the check of their blocks reports them.
func (c *checker) checkRollups(l *datadir.Listed) error {
	for _, cover := range l.State.SortedCoverage() {
		c.report.RollupDays++
		compared, err := c.checkDay(l, cover)
		if err != nil {
			return err
		}
		if compared {
			c.report.RollupDaysCompared++
		}
	}
	return nil
}

// checkDay compares a covered day with its samples, if there is something to compare.
func (c *checker) checkDay(l *datadir.Listed, cover manifest.Coverage) (compared bool, err error) {
	d := &dayCheck{checker: c, cover: cover, state: l.State}
	defer d.close()
	if ok, err := d.open(l); err != nil || !ok {
		return false, err
	}
	return true, d.compare()
}

// dayCheck compares one day of a rollup with its samples.
type dayCheck struct {
	*checker
	cover   manifest.Coverage
	state   *manifest.State
	stored  *block.Block // nil if no series has a row of the day
	sources []daySource
	found   int  // differences
	partial bool // series of the stored block cannot be read

	samples, part model.ColumnSet
	built, rows   model.Buckets
	deleted       block.DeletedRanges
	standIn       []model.TimeRange
	builder       *bucket.Builder
}

// daySource is a raw block that was rolled up.
type daySource struct {
	*block.Block
	reader    *block.Reader
	deletions *block.Deletions
	ords      map[model.Identity]uint32 // of the series that were not compared yet
}

// open finds the blocks of the day. ok is false if there is nothing to compare: raw
// blocks have left, or are not known after a repair, a block cannot be opened, or
// samples stand in.
func (d *dayCheck) open(l *datadir.Listed) (ok bool, err error) {
	if d.cover.StandIn || len(d.cover.Sources) == 0 {
		return false, nil
	}
	if d.cover.Block != "" {
		if d.stored = l.Blocks[d.cover.Block]; d.stored == nil {
			return false, nil
		}
	}
	for _, name := range d.cover.Sources {
		b := l.Blocks[name]
		if b == nil {
			return false, nil
		}
		d.sources = append(d.sources, daySource{Block: b, reader: b.Reader(), ords: make(map[model.Identity]uint32, b.Info().Series)})
		s := &d.sources[len(d.sources)-1]
		if s.deletions, err = d.deletionsOf(b, l.State.Tombstones); err != nil {
			return false, d.unlessDamaged(err)
		}
		for ord := range uint32(b.Info().Series) {
			id, err := b.ID(ord)
			if err != nil {
				return false, d.unlessDamaged(err)
			}
			s.ords[id] = ord
		}
	}
	d.builder = bucket.NewBuilder(d.cover.Tier.Ms())
	return true, nil
}

func (d *dayCheck) close() {
	for _, s := range d.sources {
		s.reader.Release()
	}
}

// unlessDamaged returns nil for the errors of damage, which the checks of the blocks
// report.
func (d *dayCheck) unlessDamaged(err error) error {
	if errors.Is(err, format.ErrCorrupt) {
		return nil
	}
	return err
}

// deletionsOf returns the deletions that were applied to a raw block when the day was
// rolled up.
func (d *dayCheck) deletionsOf(b *block.Block, tombstones []manifest.Tombstone) (*block.Deletions, error) {
	var parts []block.Deletion
	for i := range tombstones {
		t := &tombstones[i]
		if t.ID > d.cover.Tombstone || !t.Covers(b.Info()) {
			continue
		}
		series, err := b.Postings(d.ctx, t.Tenant, match.New(t.Matchers))
		if err != nil {
			return nil, err
		}
		parts = append(parts, block.Deletion{Series: series, Range: t.Range})
	}
	return block.NewDeletions(parts), nil
}

// compare compares the stored rows of each series with those of its samples, and looks
// for series that have samples and no rows.
func (d *dayCheck) compare() error {
	if d.stored != nil {
		it := d.stored.Iterate()
		for it.Next() {
			if err := d.series(it); err != nil {
				return err
			}
		}
		if it.Err() != nil {
			d.partial = true
			if err := d.unlessDamaged(it.Err()); err != nil {
				return err
			}
		}
	}
	if err := d.compareMissing(); err != nil {
		return err
	}
	if more := d.found - maxPerDay; more > 0 {
		d.damage(d.where(), 0, "%s of %s: %d more series differ from their samples", d.cover.Tier, d.day(), more)
	}
	return nil
}

// compareMissing checks the series that have no row of the day.
func (d *dayCheck) compareMissing() error {
	if d.partial || len(d.cover.Lost) > 0 {
		return nil // they may have a row, or samples that could not be read
	}
	for i := range d.sources {
		s := &d.sources[i]
		for ord := range uint32(s.Info().Series) {
			id, err := s.ID(ord)
			if err != nil {
				return d.unlessDamaged(err)
			}
			if _, ok := s.ords[id]; !ok {
				continue
			}
			ok, err := d.read(id)
			d.done(id)
			if err != nil {
				return err
			}
			if ok && d.samples.Len() > 0 {
				entry, _ := s.Series(ord) // the identity is enough if the labels are damaged
				if d.hasExpired(entry) {
					continue
				}
				d.differs(entry, "has %d samples and no row", d.samples.Len())
			}
		}
	}
	return nil
}

// hasExpired reports whether retention rules hide the samples or the rows of a series:
// one of them may be gone.
func (d *dayCheck) hasExpired(s block.SeriesEntry) bool {
	return max(d.state.FloorOf(block.Raw, s.Labels), d.state.FloorOf(d.cover.Tier, s.Labels)) > d.cover.Day
}

// done leaves out a series that has been compared.
func (d *dayCheck) done(id model.Identity) {
	for i := range d.sources {
		delete(d.sources[i].ords, id)
	}
}

// series compares the current series of the rollup.
func (d *dayCheck) series(it *block.Iterator) error {
	entry, err := it.Series()
	if err != nil {
		d.partial = true
		return d.unlessDamaged(err)
	}
	d.rows.Reset()
	if d.standIn, err = it.Buckets(d.cover.Range(), model.AllBucketColumns, &d.rows, d.standIn[:0]); err != nil {
		d.done(entry.ID)
		return d.unlessDamaged(err)
	}
	if len(d.standIn) == 0 && d.rows.Len() == 0 {
		return nil // the series has rows of other days
	}
	ok, err := d.read(entry.ID)
	d.done(entry.ID)
	if err != nil || !ok || len(d.standIn) > 0 || d.hasExpired(entry) {
		return err
	}
	if d.samples.Len() == 0 && d.cover.Day < d.state.Floor {
		return nil // they have expired; the raw block is there for the series whose samples stand in
	}
	d.built.Reset()
	d.builder.Add(&d.samples, &d.built)
	d.builder.Flush(&d.built)
	for _, lost := range d.cover.Lost {
		dropBuckets(&d.built, lost, d.cover.Tier.Ms())
		dropBuckets(&d.rows, lost, d.cover.Tier.Ms())
	}
	for i := range max(d.built.Len(), d.rows.Len()) {
		switch {
		case i >= d.rows.Len() || i < d.built.Len() && d.built.End[i] < d.rows.End[i]:
			d.differs(entry, "has no bucket that ends at %s", model.FormatTime(d.built.End[i]))
		case i >= d.built.Len() || d.built.End[i] > d.rows.End[i]:
			d.differs(entry, "has a bucket that ends at %s and no samples in it", model.FormatTime(d.rows.End[i]))
		default:
			if d.rows.Flags[i]&model.BucketNoResets != 0 { // nothing to compare them with
				d.built.Flags[i] |= model.BucketNoResets
				d.built.Lost[i], d.built.Resets[i], d.built.Changes[i] = 0, 0, 0
			}
			column := differentColumn(&d.built, &d.rows, i)
			if column == "" {
				continue
			}
			d.differs(entry, "bucket that ends at %s has another %s than its samples give", model.FormatTime(d.rows.End[i]), column)
		}
		break
	}
	return nil
}

// read reads the samples of a series on the day into d.samples, without those that had
// been deleted. ok is false if some cannot be read.
func (d *dayCheck) read(id model.Identity) (ok bool, err error) {
	d.samples.Reset()
	for i := range d.sources {
		s := &d.sources[i]
		ord, has := s.ords[id]
		if !has {
			continue
		}
		d.part.Reset()
		if err := s.reader.Append(d.ctx, ord, d.cover.Range(), &d.part); err != nil {
			return false, d.unlessDamaged(err)
		}
		d.deleted = s.deletions.Ranges(ord, d.deleted)
		d.deleted.Remove(&d.part, 0)
		mergeSamples(&d.samples, &d.part)
	}
	return true, nil
}

// mergeSamples adds the rows of src, of which dst has no time, to dst.
func mergeSamples(dst, src *model.ColumnSet) {
	if dst.Len() == 0 || src.Len() == 0 || dst.T[dst.Len()-1] < src.T[0] {
		dst.AppendRange(src, 0, src.Len())
		return
	}
	var all model.ColumnSet
	for i, j := 0, 0; i < dst.Len() || j < src.Len(); {
		from, k := dst, &i
		if i == dst.Len() || j < src.Len() && src.T[j] < dst.T[i] {
			from, k = src, &j
		}
		all.AppendRange(from, *k, *k+1)
		*k++
	}
	*dst = all
}

// dropBuckets removes the rows of buckets that overlap r.
func dropBuckets(b *model.Buckets, r model.TimeRange, resolution int64) {
	var kept model.Buckets
	for i, end := range b.End {
		if end < r.Min || end-resolution >= r.Max-1 {
			kept.AppendRange(b, i, i+1)
		}
	}
	*b = kept
}

// differentColumn returns the name of the first column in which row i of a and b have
// different bits, "" if they are equal.
func differentColumn(a, b *model.Buckets, i int) string {
	floats := func(x, y []float64) bool { return math.Float64bits(x[i]) != math.Float64bits(y[i]) }
	for _, c := range []struct {
		name    string
		differs bool
	}{
		{"flags", a.Flags[i] != b.Flags[i]},
		{"count", a.Count[i] != b.Count[i]},
		{"time of the first sample", a.First[i] != b.First[i]},
		{"time of the last samples", a.T1[i] != b.T1[i] || a.T2[i] != b.T2[i] || a.T3[i] != b.T3[i]},
		{"first value", floats(a.FirstV, b.FirstV)},
		{"last value", floats(a.V1, b.V1) || floats(a.V2, b.V2)},
		{"minimum", floats(a.Min, b.Min)},
		{"maximum", floats(a.Max, b.Max)},
		{"sum", floats(a.Sum, b.Sum)},
		{"sum lost in resets", floats(a.Lost, b.Lost)},
		{"number of resets", a.Resets[i] != b.Resets[i]},
		{"number of changes", a.Changes[i] != b.Changes[i]},
	} {
		if c.differs {
			return c.name
		}
	}
	return ""
}

// differs reports a series whose rows are not those of its samples.
func (d *dayCheck) differs(s block.SeriesEntry, format string, args ...any) {
	if d.found++; d.found <= maxPerDay {
		d.damage(d.where(), 0, "%s of %s: series %s %s", d.cover.Tier, d.day(), s.Labels, fmt.Sprintf(format, args...))
	}
}

// where returns the file that a difference is in.
func (d *dayCheck) where() string {
	if d.cover.Block == "" {
		return format.ManifestName
	}
	return d.cover.Block
}

func (d *dayCheck) day() string { return model.FormatTime(d.cover.Day)[:10] }
