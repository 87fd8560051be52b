package compaction

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/panics"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// Bounds of a merge.
const (
	maxBlockBytes  = 1 << 30 // of an L2
	maxBlockSeries = 1 << 20 // in an L2
	// maxOpenOutputs bounds the partitions written in one pass over the inputs,
	// and maxOpenSeries the series of all of them together, because every series
	// takes memory of a writer until it is finished.
	maxOpenOutputs = 32
	maxOpenSeries  = 4 << 20
	// fullDedupe is the number of concurrent outputs up to which each remembers as
	// many columns as a single output. More outputs share that total.
	fullDedupe = 4
	// indexBytes is the estimated size of a series in a block, without its chunks.
	indexBytes = 64
)

// Options are the options of a merge. The zero value is the default.
type Options struct {
	// Yield is called between series; it may block while more urgent work
	// runs. An error ends the merge.
	Yield func(ctx context.Context) error
	// Progress is called now and then with the series of the inputs that are read, and all
	// of them; those that are read several times count several times. nil = not called.
	Progress func(done, total uint64)
	// Limits of an L2, and of the partitions written at once; 0 is the default.
	BlockBytes  int64
	BlockSeries int
	Outputs     int
	Writer      block.WriterOptions // of all outputs
}

// Merged is the result of a merge.
type Merged struct {
	Add  []block.Info // the outputs, complete and synced, not in any edit yet
	Keys map[string]manifest.KeyRange
	Drop []string // the inputs

	// LeftOut counts the samples of chunks outside of the times that are kept:
	// below the retention floor, or at invalid times.
	LeftOut uint64

	Copied  int   // chunks taken over without decoding
	Decoded int   // chunks decoded
	Bytes   int64 // of Add
	// Lost holds an error for each unreadable part of the inputs: chunks, which
	// the outputs list as bad, and exemplars and metadata, which are left out.
	Lost []error
	// Deleted counts the samples that were left out because of tombstones.
	Deleted uint64
	// Overwritten counts the samples whose value a newer input replaced.
	Overwritten uint64
	// DroppedExemplars counts the exemplars beyond maxSeriesExemplars.
	DroppedExemplars int
}

// Edit returns the edit that replaces the inputs with the outputs.
func (m *Merged) Edit(wallMs int64) manifest.Edit {
	return manifest.Edit{WallMs: wallMs, Add: m.Add, Keys: m.Keys, Drop: m.Drop}
}

// Names returns the names of the outputs.
func (m *Merged) Names() []string {
	names := make([]string, len(m.Add))
	for i, b := range m.Add {
		names[i] = b.Name
	}
	return names
}

// Merge executes a plan made from version v, which the caller holds, with the
// tombstones of the same view. No edit lists the outputs yet: the caller publishes
// Merged.Edit, or passes Merged.Names to Set.Discard.
//
// For every series the samples are those of model.Merge over the inputs from the
// oldest to the newest, without those that tombstones cover or that are outside of
// the times that v keeps. The outputs depend only on the inputs, the plan, the
// tombstones and the state that their footers repeat. Except for the indexes of the outputs, memory does not grow with the
// inputs.
//
// After an error no output is left. A *DamageError names an input that cannot be
// merged, for Set.Quarantine: its index is damaged, it has an unreadable chunk
// whose samples are between those of others, it has a chunk that is not in one
// partition, or it made the merge panic. In the last case the error is also a
// *panics.Error.
func Merge(ctx context.Context, v *blockset.Version, plan Plan, tombstones []manifest.Tombstone, o Options) (*Merged, error) {
	result, err := merge(ctx, v, v.Set().Store(), plan, tombstones, o)
	var p *panics.Error
	if errors.As(err, &p) {
		err = errors.Join(err, blame(ctx, v, plan, tombstones, o, p))
	}
	return result, err
}

// merge is Merge with a separate store for the outputs. It returns a panic as an
// error.
func merge(ctx context.Context, v *blockset.Version, outputs objstore.Store, plan Plan, tombstones []manifest.Tombstone, o Options) (_ *Merged, err error) {
	m := &merger{
		set: v.Set(), store: outputs, plan: plan, o: o, kept: v.Kept(),
		outputs: map[block.Key]*mergeOutput{}, done: map[block.Key]bool{},
		result: &Merged{Keys: map[string]manifest.KeyRange{}, Drop: plan.Names()},
	}
	defer func() {
		if err != nil {
			m.abort()
			err = fmt.Errorf("merge %s: %w", plan.Reason, err)
		}
	}()
	defer panics.Catch(&err)
	if err := m.open(ctx, v, tombstones); err != nil {
		return nil, err
	}
	for more := true; more; {
		if err := m.pass(ctx); err != nil {
			return nil, err
		}
		m.read.passes++
		more = m.nextPass()
		if err := m.finish(!more); err != nil {
			return nil, err
		}
	}
	for _, b := range m.result.Add {
		m.result.Bytes += b.Size
	}
	return m.result, nil
}

// merger is one merge under way.
type merger struct {
	set      *blockset.Set
	store    objstore.Store // of the outputs
	plan     Plan
	o        Options
	kept     model.TimeRange // samples outside are left out
	inputs   []*mergeInput   // oldest first
	metadata mergedMetadata
	result   *Merged
	read     mergeProgress

	// Outputs are written for a bounded number of partitions in each pass over
	// the inputs.
	outputs map[block.Key]*mergeOutput // of this pass
	todo    map[block.Key]bool         // outputs this pass may open; nil for any
	later   []block.Key                // outputs for the next passes, with repetitions
	done    map[block.Key]bool         // outputs of earlier passes

	group    []*mergeInput     // that hold the current series, oldest first
	at       block.SeriesEntry // the current series, if there are several inputs
	chunks   []mergeChunk      // of that series
	removals []removal         // of samples of that series
	slice    sliceMerger
}

// progressEvery is the number of series of inputs between two calls of Options.Progress.
const progressEvery = 256

// mergeProgress counts the series that a merge has read.
type mergeProgress struct {
	series           uint64 // of all inputs
	done             uint64 // read, in all passes
	passes, expected uint64 // done, and all
	told             uint64 // done at the last call
}

func (p *mergeProgress) add(series int, tell func(done, total uint64)) {
	p.done += uint64(series)
	if tell != nil && p.done-p.told >= progressEvery {
		p.told = p.done
		tell(p.done, p.series*max(p.expected, p.passes+1))
	}
}

// mergeInput is an input block, read front to back.
type mergeInput struct {
	entry     *blockset.Entry
	deletions *block.Deletions
	it        *block.Iterator
	rows      rowReader // it, for those that want no more
	more      bool      // it is positioned at a series
	gen       uint64    // generation of that series
	noGens    bool      // the generations are damaged
	deleted   block.DeletedRanges
	part      model.ColumnSet // scratch
}

func (m *merger) open(ctx context.Context, v *blockset.Version, tombstones []manifest.Tombstone) error {
	m.o.Writer.Taken, m.o.Writer.Repeated = v.Set().Taken, v.State().Repeated()
	m.o.BlockBytes = defaultTo(m.o.BlockBytes, maxBlockBytes)
	m.o.BlockSeries = defaultTo(m.o.BlockSeries, maxBlockSeries)
	largest := uint64(1)
	for _, info := range m.plan.Inputs {
		e := v.Find(info.Name)
		if e == nil || e.Block() == nil {
			return fmt.Errorf("input %s is missing or quarantined", info.Name)
		}
		if e.Tier != block.Raw {
			return fmt.Errorf("input %s is of the %v tier", info.Name, e.Tier)
		}
		deletions, err := v.Deletions(ctx, e, tombstones)
		if err != nil {
			return err
		}
		m.inputs = append(m.inputs, &mergeInput{entry: e, deletions: deletions})
		largest = max(largest, e.Series)
		m.read.series += e.Series
		if err := m.metadata.add(e.Block()); errors.Is(err, format.ErrCorrupt) {
			m.result.Lost = append(m.result.Lost, err)
		} else if err != nil {
			return err
		}
	}
	if err := m.chooseIndex(ctx); err != nil {
		return err
	}
	m.o.Outputs = defaultTo(m.o.Outputs, int(min(maxOpenOutputs, max(2, maxOpenSeries/largest))))
	m.read.expected = 1
	if m.plan.Level != block.L0 {
		m.read.expected = uint64(m.partitions()+m.o.Outputs-1) / uint64(m.o.Outputs)
	}
	if n := min(m.o.Outputs, m.partitions()); n > fullDedupe {
		m.o.Writer.DedupeColumns = defaultTo(m.o.Writer.DedupeColumns, block.DefaultDedupeColumns) * fullDedupe / n
	}
	return nil
}

// chooseIndex chooses the input whose index the outputs copy if they have its series: the
// first of those with the most.
func (m *merger) chooseIndex(ctx context.Context) error {
	largest := m.inputs[0].entry
	for _, in := range m.inputs[1:] {
		if in.entry.Series > largest.Series {
			largest = in.entry
		}
	}
	intact, err := largest.Block().IntactIndex(ctx)
	if intact {
		m.o.Writer.Index = largest.Block()
	}
	return err
}

// partitions returns the number of partitions in which the inputs may have samples.
func (m *merger) partitions() int {
	tier := m.plan.Tier
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, in := range m.plan.Inputs {
		if both := m.kept.Intersect(in.TimeRange()); !both.Empty() {
			first, last = min(first, both.Min), max(last, both.Max-1)
		}
	}
	if first > last {
		return 1
	}
	return int((tier.PartitionStart(last)-tier.PartitionStart(first))/tier.PartitionMs()) + 1
}

func defaultTo[T int | int64](v, standard T) T {
	if v <= 0 {
		return standard
	}
	return v
}

// pass reads all inputs once.
func (m *merger) pass(ctx context.Context) error {
	for _, in := range m.inputs {
		in.it = in.entry.Block().Iterate()
		in.rows = in.it
		if err := in.next(); err != nil {
			return err
		}
	}
	for {
		if err := m.nextGroup(); err != nil || len(m.group) == 0 {
			return err
		}
		if err := m.mergeSeries(); err != nil {
			return err
		}
		for _, in := range m.group {
			if err := in.next(); err != nil {
				return err
			}
		}
		m.read.add(len(m.group), m.o.Progress)
		if err := ctx.Err(); err != nil {
			return err
		}
		if m.o.Yield != nil {
			if err := m.o.Yield(ctx); err != nil {
				return err
			}
		}
	}
}

func (in *mergeInput) next() error {
	in.more = in.it.Next()
	return in.it.Err()
}

// nextGroup collects the inputs positioned at the smallest series. Usually that is
// all of them, and the labels are built once. Those of a single input are compared with
// none.
func (m *merger) nextGroup() error {
	m.group = m.group[:0]
	if len(m.inputs) == 1 {
		if m.inputs[0].more {
			m.group = append(m.group, m.inputs[0])
		}
		return nil
	}
	for _, in := range m.inputs {
		if !in.more {
			continue
		}
		c := -1
		if len(m.group) > 0 {
			var err error
			if c, err = in.compare(m.at); err != nil {
				return err
			}
		}
		if c > 0 {
			continue
		}
		if c < 0 {
			var err error
			if m.at, err = in.it.Series(); err != nil {
				return err
			}
			m.group = m.group[:0]
		}
		m.group = append(m.group, in)
	}
	return nil
}

// current returns the input of the group that the outputs take the current series from:
// the one whose index they copy, if it is there.
func (m *merger) current() *mergeInput {
	for _, in := range m.group {
		if in.entry.Block() == m.o.Writer.Index {
			return in
		}
	}
	return m.group[0]
}

// compare compares the current series of the input with o.
func (in *mergeInput) compare(o block.SeriesEntry) (int, error) {
	if same, err := in.it.IsSeries(o); err != nil || same {
		return 0, err
	}
	e, err := in.it.Series()
	if err != nil {
		return 0, err
	}
	return compareSeries(e, o)
}

// nextPass selects the partitions of the next pass and reports whether there are
// any.
func (m *merger) nextPass() bool {
	for key := range m.outputs {
		m.done[key] = true
	}
	slices.SortFunc(m.later, block.Key.Compare)
	m.later = slices.Compact(m.later)
	m.todo = map[block.Key]bool{}
	for _, key := range m.later[:min(len(m.later), m.o.Outputs)] {
		m.todo[key] = true
	}
	more := len(m.later) > 0
	m.later = m.later[:0]
	return more
}

// finish completes the outputs of a pass. The newest output of the last pass gets
// the metadata of metrics without series in any output.
func (m *merger) finish(last bool) error {
	maps.DeleteFunc(m.outputs, func(_ block.Key, out *mergeOutput) bool { return out.w == nil })
	keys := slices.SortedFunc(maps.Keys(m.outputs), block.Key.Compare)
	for i, key := range keys {
		if last && i == len(keys)-1 {
			m.metadata.rest(m.outputs[key].markUsed)
		}
		if err := m.outputs[key].finish(); err != nil {
			return err
		}
	}
	clear(m.outputs)
	return nil
}

// abort deletes all outputs, which no edit lists. Those that cannot be deleted now
// are deleted by Sweep.
func (m *merger) abort() {
	names := m.result.Names()
	for _, out := range m.outputs {
		if out.w != nil {
			names = append(names, out.w.Name())
			out.abort()
		}
	}
	if m.store == m.set.Store() {
		m.set.Discard(names...)
	}
	if made := m.result.Names(); len(made) > 0 {
		_ = m.store.Delete(context.Background(), made...)
	}
}

// output returns the output of a key, or nil if it is not written in this pass.
func (m *merger) output(key block.Key) *mergeOutput {
	if out := m.outputs[key]; out != nil {
		return out
	}
	if m.done[key] {
		return nil
	}
	if len(m.outputs) >= m.o.Outputs || m.todo != nil && !m.todo[key] {
		m.later = append(m.later, key)
		return nil
	}
	out := &mergeOutput{merger: m, key: key}
	m.outputs[key] = out
	return out
}

// mergeChunk is a chunk of the current series.
type mergeChunk struct {
	block.Chunk
	in   *mergeInput
	age  int  // of the input: its index in the group
	copy bool // copied without decoding
}

func (c *mergeChunk) span() model.TimeRange {
	return model.Inclusive(c.MinTime, c.MaxTime)
}

// mergeSeries merges the current series of the group.
func (m *merger) mergeSeries() error {
	if err := m.collect(); err != nil {
		return err
	}
	for i := 0; i < len(m.chunks); {
		key, j := m.plan.Key, len(m.chunks)
		if m.plan.Level != block.L0 {
			key = m.plan.Tier.KeyAt(m.chunks[i].MinTime, m.plan.Level)
			end := key.Range().Max
			for j = i + 1; j < len(m.chunks) && m.chunks[j].MinTime < end; {
				j++
			}
		}
		if out := m.output(key); out != nil {
			if err := m.mergeChunks(out, m.chunks[i:j], m.generation(key, m.chunks[i:j])); err != nil {
				return err
			}
		}
		i = j
	}
	return nil
}

// collect gathers the chunks of the series that have samples to keep, in ascending
// order of time, and marks those to be copied.
func (m *merger) collect() error {
	m.chunks, m.removals = m.chunks[:0], m.removals[:0]
	for age, in := range m.group {
		chunks, err := in.it.Chunks()
		if err != nil {
			return err
		}
		if err := m.readGeneration(in); err != nil {
			return err
		}
		in.deleted = in.deletions.Ranges(in.it.Ordinal(), in.deleted)
		for _, c := range chunks {
			mc := mergeChunk{Chunk: c, in: in, age: age}
			if in.deleted.Overlaps(mc.span()) {
				m.removals = append(m.removals, removal{c.MinTime, in.deletions.Generation(in.it.Ordinal(), mc.span())})
			}
			switch {
			case !m.kept.Overlaps(mc.span()):
				m.result.LeftOut += uint64(c.Count)
			case c.MaxTime >= m.plan.Tier.PartitionRange(c.MinTime).Max:
				return c.Damage("chunk from %d to %d is not in one partition", c.MinTime, c.MaxTime)
			case !in.deleted.Covers(mc.span()):
				m.chunks = append(m.chunks, mc)
			case m.todo == nil: // the first pass
				m.result.Deleted += uint64(c.Count)
			}
		}
	}
	slices.SortFunc(m.chunks, compareChunks)
	before := int64(math.MinInt64) // end of all chunks so far
	for i := range m.chunks {
		c := &m.chunks[i]
		after := int64(math.MaxInt64)
		if i+1 < len(m.chunks) {
			after = m.chunks[i+1].MinTime
		}
		c.copy = m.copyable(c, before, after)
		before = max(before, c.MaxTime)
	}
	return nil
}

func compareChunks(a, b mergeChunk) int {
	switch {
	case a.MinTime != b.MinTime:
		if a.MinTime < b.MinTime {
			return -1
		}
		return 1
	case a.age != b.age:
		return a.age - b.age
	}
	return int(a.Kind) - int(b.Kind)
}

// copyable reports whether a chunk can be copied without decoding: no other chunk
// of the series overlaps it, nothing in it is deleted, and encoding it again would
// not improve it, because it is well filled or alone in its window. Only an L2 has
// the final codecs, so an L2 copies only chunks of L2s.
func (m *merger) copyable(c *mergeChunk, before, after int64) bool {
	switch {
	case c.Bad, m.plan.Level == block.L0, m.plan.Level == block.L2 && c.in.entry.Level != block.L2:
		return false
	case before >= c.MinTime, after <= c.MaxTime, c.in.deleted.Overlaps(c.span()):
		return false
	case c.MinTime < m.kept.Min, c.MaxTime >= m.kept.Max:
		return false
	case c.Count >= block.MaxChunkSamples/2:
		return true
	}
	w := c.Window()
	return before < w.Min && after >= w.Max
}

// mergeChunks writes the chunks of the series that belong to one output. gen is the
// generation of the series there.
func (m *merger) mergeChunks(out *mergeOutput, chunks []mergeChunk, gen uint64) error {
	out.next(gen)
	for i := 0; i < len(chunks); {
		if chunks[i].copy {
			if err := m.copyChunk(out, &chunks[i]); err != nil {
				return err
			}
			i++
			continue
		}
		j := i + 1
		for j < len(chunks) && !chunks[j].copy {
			j++
		}
		if err := m.slice.merge(m, out, chunks[i:j]); err != nil {
			return err
		}
		i = j
	}
	return m.exemplars(out)
}

func (m *merger) copyChunk(out *mergeOutput, c *mergeChunk) error {
	w, err := out.writer()
	if err != nil {
		return err
	}
	err = w.CopyChunk(c.Chunk)
	var damage *format.DamageError
	if errors.As(err, &damage) {
		m.result.Lost = append(m.result.Lost, err)
		return w.Bad(c.Chunk)
	}
	m.result.Copied++
	return err
}

// compareSeries orders series as in a block. It returns an error if equal series
// have different identities, because one of the blocks is then damaged.
func compareSeries(a, b block.SeriesEntry) (int, error) {
	c := 0
	if a.ID != b.ID || a.Tenant != b.Tenant || !labels.Equal(a.Labels, b.Labels) {
		c = block.Compare(a.Tenant, a.Labels, b.Tenant, b.Labels)
	}
	if c == 0 && a.ID != b.ID {
		return 0, fmt.Errorf("series %v has the identities %v and %v", a.Labels, a.ID, b.ID)
	}
	return c, nil
}
