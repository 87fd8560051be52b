package rollup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// Options are the options of a step. The zero value is the default.
type Options struct {
	// Yield is called between series; it may block while more urgent work runs. An
	// error ends the step.
	Yield func(ctx context.Context) error
	// Skip reports whether a block is not read because an earlier attempt at it
	// panicked; nil means that none is.
	Skip func(block string) bool
	// Progress is called now and then with the series that were read, of all; nil =
	// not.
	Progress func(done, total uint64)
	// OmitResets leaves out the resets of series that fall often in tiers finer than an
	// hour: see bucket.OmitResets.
	OmitResets bool
	Writer     block.WriterOptions // of all blocks
}

// progressEvery is the number of series between two calls of Options.Progress.
const progressEvery = 1024

// SourceError is the error of a block that cannot be read by a step. The block should
// be quarantined; a panic means that it should be skipped, too.
type SourceError struct {
	Block string
	Err   error
}

// Error implements error.
func (e *SourceError) Error() string { return fmt.Sprintf("read %s: %v", e.Block, e.Err) }

// Unwrap returns the error of the block.
func (e *SourceError) Unwrap() error { return e.Err }

// source is a block that a step reads front to back.
type source struct {
	entry     *blockset.Entry
	it        *block.Iterator
	at        block.SeriesEntry // current series, unless alone
	alone     bool              // the series are compared with those of no other source, and their labels not needed
	more      bool              // positioned at a series
	deletions *block.Deletions  // of samples
	deleted   block.DeletedRanges

	hides map[block.Tier]*roaring.Bitmap // see roller.hides

	// The fields below are of rollup blocks.
	days    []foldDay
	buckets model.Buckets // of the current series in all days
	standIn []model.TimeRange
}

// next advances to the next series whose labels can be read. A *DamageError for the
// others is passed to lost, whose error ends the call.
func (s *source) next(lost func(error) error) error {
	for {
		if s.more = s.it.Next(); !s.more {
			return s.damaged(s.it.Err(), lost)
		}
		if s.alone {
			return nil
		}
		at, err := s.it.Series()
		if err == nil {
			s.at = at
			return nil
		}
		s.more = false
		if err := s.damaged(err, lost); err != nil {
			return err
		}
	}
}

func (s *source) damaged(err error, lost func(error) error) error {
	if err == nil || !errors.Is(err, format.ErrCorrupt) {
		return err
	}
	return lost(&SourceError{Block: s.entry.Name, Err: err})
}

// sources are blocks that are read in the order of their series.
type sources struct {
	runs        [][]*source // each has only series before those of the next
	all         []*source   // the current run
	group       []*source   // positioned at the current series, in the order of all
	lost        func(error) error
	o           *Options
	done, total uint64 // series
}

// begin counts the series of all runs.
func (ss *sources) begin() {
	for _, run := range ss.runs {
		for _, s := range run {
			ss.total += s.entry.Series
		}
	}
}

// nextRun positions the sources of the next run at their first series. It reports
// false if there is none.
func (ss *sources) nextRun() (bool, error) {
	for _, s := range ss.all {
		s.it = nil // and its memory
	}
	if len(ss.runs) == 0 {
		return false, nil
	}
	ss.all, ss.runs = ss.runs[0], ss.runs[1:]
	for _, s := range ss.all {
		s.it = s.entry.Block().Iterate()
		if err := s.next(ss.lost); err != nil {
			return false, err
		}
	}
	return true, nil
}

// addDisjoint adds a source, of which all series are known to come after those of the
// sources before, or may not.
func (ss *sources) addDisjoint(s *source) {
	if n := len(ss.runs); n > 0 {
		last := ss.runs[n-1]
		for _, o := range last {
			if o.entry.Keys.IsZero() || s.entry.Keys.IsZero() || o.entry.Keys.Last >= s.entry.Keys.First {
				ss.runs[n-1] = append(last, s)
				return
			}
		}
	}
	ss.runs = append(ss.runs, []*source{s})
}

// next collects the sources positioned at the smallest series. It reports false at
// the end.
func (ss *sources) next() (bool, error) {
	for {
		if ss.collect() {
			return true, nil
		}
		if more, err := ss.nextRun(); err != nil || !more {
			return false, err
		}
	}
}

// collect is next for the current run.
func (ss *sources) collect() bool {
	ss.group = ss.group[:0]
	for _, s := range ss.all {
		if !s.more {
			continue
		}
		c := -1
		if len(ss.group) > 0 {
			c = compareSeries(s.at, ss.group[0].at)
		}
		if c < 0 {
			ss.group = ss.group[:0]
		}
		if c <= 0 {
			ss.group = append(ss.group, s)
		}
	}
	return len(ss.group) > 0
}

// advance moves the sources of the group to their next series.
func (ss *sources) advance(ctx context.Context) error {
	for _, s := range ss.group {
		if err := s.next(ss.lost); err != nil {
			return err
		}
		ss.done++
		if ss.o.Progress != nil && ss.done%progressEvery == 0 {
			ss.o.Progress(ss.done, ss.total)
		}
	}
	return ss.pause(ctx)
}

// pause lets more urgent work run.
func (ss *sources) pause(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ss.o.Yield != nil {
		return ss.o.Yield(ctx)
	}
	return nil
}

// compareSeries orders series as in a block.
func compareSeries(a, b block.SeriesEntry) int {
	if a.ID == b.ID && a.Tenant == b.Tenant && labels.Equal(a.Labels, b.Labels) {
		return 0
	}
	return block.Compare(a.Tenant, a.Labels, b.Tenant, b.Labels)
}

// output is a rollup block that is being written. Its series begin in the block with
// their first row.
type output struct {
	w      *block.Writer
	at     *source // positioned at the current series
	begun  bool
	series int
	rows   uint64
}

// begin begins the current series unless that is done already.
func (o *output) begin() error {
	if o.begun {
		return nil
	}
	if err := o.w.SeriesOf(o.at.it); err != nil {
		return err
	}
	o.begun = true
	o.series++
	return nil
}

// next sets the current series, that of a source.
func (o *output) next(s *source) { o.at, o.begun = s, false }

// buckets writes rows of the current series.
func (o *output) buckets(b *model.Buckets) error {
	if b.Len() == 0 {
		return nil
	}
	if err := o.begin(); err != nil {
		return err
	}
	o.rows += uint64(b.Len())
	return o.w.Buckets(b)
}

// standIn notes that samples of the current series stand in for days.
func (o *output) standIn(days model.TimeRange, samples uint64) error {
	if err := o.begin(); err != nil {
		return err
	}
	return o.w.StandIn(days, samples)
}

// finish finishes the block and adds it to the result. It returns the name of the
// block.
func (o *output) finish(r *Result) (string, error) {
	w := o.w
	info, err := w.Finish()
	if err != nil {
		return "", err
	}
	o.w = nil
	r.Add = append(r.Add, info)
	first, last, err := w.Ends()
	if err != nil {
		return "", err
	}
	r.Keys[info.Name] = manifest.KeyRange{
		First: manifest.SeriesKey(first.Tenant, first.Labels), Last: manifest.SeriesKey(last.Tenant, last.Labels)}
	r.Rows += o.rows
	r.Bytes += info.Size
	return info.Name, nil
}

// discard deletes the outputs of a step that failed, which no edit lists. Those that
// cannot be deleted now are deleted by Sweep.
func discard(set *blockset.Set, r *Result, outputs []*output) {
	names := r.Names()
	if len(names) > 0 {
		_ = set.Store().Delete(context.Background(), names...)
	}
	for _, o := range outputs {
		if o.w != nil {
			names = append(names, o.w.Name())
			o.w.Abort()
			o.w = nil
		}
	}
	set.Discard(names...)
}

// newestTombstone returns the highest ID of the recorded tombstones.
func newestTombstone(st *manifest.State) (id uint64) {
	for i := range st.Tombstones {
		id = max(id, st.Tombstones[i].ID)
	}
	return id
}

// boundLost returns at most manifest.MaxLost ranges that contain all of lost.
func boundLost(lost block.DeletedRanges) []model.TimeRange {
	if len(lost) > manifest.MaxLost {
		lost = block.DeletedRanges{{Min: lost[0].Min, Max: lost[len(lost)-1].Max}}
	}
	return slices.Clone(lost)
}

// metaOf returns the description of a block that is made of others.
func metaOf(tier block.Tier, days []int64, tombstone uint64, made []block.Info) block.Meta {
	m := block.Meta{Key: tier.KeyAt(days[0], block.L2), Tombstone: tombstone,
		Days: uint32((days[len(days)-1]-days[0])/model.DayMs) + 1}
	m.MinGen, m.MaxGen = manifest.Generations(made)
	for _, b := range made {
		m.Sources = append(m.Sources, b.Name)
		m.Tombstone = max(m.Tombstone, b.Tombstone)
	}
	return m
}

// compareKeys orders blocks by the first series in them.
func compareKeys(a, b *blockset.Entry) int {
	return cmp.Or(cmp.Compare(a.Keys.First, b.Keys.First), cmp.Compare(a.Keys.Last, b.Keys.Last), cmp.Compare(a.Name, b.Name))
}
