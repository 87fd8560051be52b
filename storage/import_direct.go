package storage

import (
	"context"
	"iter"
	"maps"
	"slices"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Bounds of the blocks that a run writes at once.
const (
	importOutputs     = 16      // days of one edit
	importBlockSeries = 1 << 20 // of one L2
	importDedupe      = 4       // outputs that each remember as many columns as a single one
)

// directDays returns the days of the run that can become L2s at once, in ascending
// order.
func (r *importRun) directDays() []int64 {
	st := r.db.manifest.State()
	parts := map[int64]bool{} // days with L2s
	for _, b := range st.Blocks {
		if b.Tier == block.Raw && b.Level == block.L2 {
			parts[b.Partition] = true
		}
	}
	var days []int64
	for _, day := range slices.Sorted(maps.Keys(r.days)) {
		gen, err := st.ImportGeneration(day, r.keys)
		if err != nil || r.db.views.concerns(block.Raw.PartitionRange(day), gen) {
			continue
		}
		if !parts[day] || r.days[day] >= importDirectMin {
			days = append(days, day)
		}
	}
	return days
}

// publishDirect writes days as L2s and publishes them in one edit. It returns the
// blocks of those days for which that was still possible when they were complete.
func (r *importRun) publishDirect(ctx context.Context, days []int64) (published []block.Info, err error) {
	st := r.db.manifest.State()
	gen, err := st.ImportGeneration(days[0], r.keys)
	if err != nil {
		return nil, nil // something was written there: an L0 takes it
	}
	d := &directWriter{run: r, gen: gen, options: r.writerOptions(len(days)), days: map[int64]*dayOutput{}}
	for _, day := range days {
		d.days[day] = &dayOutput{day: day}
	}
	if err := d.write(ctx, model.TimeRange{Min: days[0], Max: block.Raw.PartitionRange(days[len(days)-1]).Max}); err != nil {
		d.discard()
		return nil, err
	}
	_, err = r.db.catalog.editFrom(func(now *manifest.State) manifest.Edit {
		e := manifest.Edit{Keys: map[string]manifest.KeyRange{}}
		if low := gen + 1; now.WALLow < low {
			e.WALLow = &low // of a new database: the log begins with generation 1
		}
		for _, out := range d.sorted() {
			if !out.fits(now, gen) || r.db.views.concerns(block.Raw.PartitionRange(out.day), gen) {
				continue
			}
			e.Add = append(e.Add, out.infos...)
			maps.Copy(e.Keys, out.keys)
		}
		published = e.Add
		return e
	}, nil)
	if err != nil {
		d.discard()
		return nil, err
	}
	var done []int64
	for _, b := range published {
		done = append(done, b.Partition)
	}
	r.changed(done)
	for _, out := range d.sorted() {
		if !slices.Contains(done, out.day) {
			out.discard(r.db)
		}
	}
	return published, nil
}

// directWriter writes several days of a run in one pass over its series.
type directWriter struct {
	run     *importRun
	gen     uint64
	options block.WriterOptions
	days    map[int64]*dayOutput
}

// dayOutput is the L2s of one day, one after another.
type dayOutput struct {
	day         int64
	w           *block.Writer // nil between blocks
	ordinal     uint32        // of the next block
	series      int           // in w
	first, last block.SeriesEntry
	infos       []block.Info
	keys        map[string]manifest.KeyRange
}

func (d *directWriter) sorted() []*dayOutput {
	var outs []*dayOutput
	for _, day := range slices.Sorted(maps.Keys(d.days)) {
		outs = append(outs, d.days[day])
	}
	return outs
}

func (d *directWriter) write(ctx context.Context, span model.TimeRange) (err error) {
	defer panics.Catch(&err)
	r := d.run
	for i, ref := range r.refs {
		if i%importYieldEvery == 0 {
			if err := r.db.flusher.makeRoom(ctx); err != nil {
				return err
			}
			if err := r.pace(ctx); err != nil {
				return err
			}
		}
		r.samples.Reset()
		r.buf.Samples(ref, span, &r.samples)
		if r.samples.Len() == 0 {
			continue
		}
		s, err := r.series(ref)
		if err != nil {
			return err
		}
		exemplars := r.buf.Exemplars(ref)
		for part := range byDay(&r.samples) {
			if out := d.days[block.Raw.PartitionStart(part.T[0])]; out != nil {
				if err := d.add(out, s, &part, exemplars); err != nil {
					return err
				}
			}
		}
	}
	for i, out := range d.sorted() {
		if i == 0 && out.w != nil {
			for k, m := range r.metadata.all() {
				if err := out.w.Metadata(k.tenant, k.metric, m); err != nil {
					return err
				}
			}
		}
		if err := out.finish(); err != nil {
			return err
		}
	}
	return nil
}

// byDay returns the samples of each day.
func byDay(s *model.Samples) iter.Seq[model.Samples] {
	return func(yield func(model.Samples) bool) {
		for i := 0; i < s.Len(); {
			j := max(i+1, s.Search(block.Raw.PartitionRange(s.T[i]).Max))
			if !yield(s.Slice(i, j)) {
				return
			}
			i = j
		}
	}
}

// add writes the samples and exemplars of a series on one day.
func (d *directWriter) add(out *dayOutput, s block.SeriesEntry, samples *model.Samples, exemplars []model.Exemplar) error {
	if out.w != nil && out.series >= importBlockSeries {
		if err := out.finish(); err != nil {
			return err
		}
	}
	if out.w == nil {
		meta := block.Meta{
			Key: block.Raw.KeyAt(out.day, block.L2), MinGen: d.gen, MaxGen: d.gen,
			Inputs: []string{block.InputImport}, Ordinal: out.ordinal,
		}
		w, err := block.Create(d.run.db.objects, meta, d.options)
		if err != nil {
			return err
		}
		out.w, out.first, out.series, out.ordinal = w, s, 0, w.Ordinal()+1
	}
	out.last = s
	out.series++
	if err := out.w.Series(s.Tenant, s.ID, s.Labels); err != nil {
		return err
	}
	if err := out.w.Samples(samples); err != nil {
		return err
	}
	day := block.Raw.PartitionRange(out.day)
	here := slices.DeleteFunc(slices.Clone(exemplars), func(e model.Exemplar) bool { return !day.Contains(e.T) })
	if len(here) == 0 {
		return nil
	}
	return out.w.Exemplars(here)
}

func (o *dayOutput) finish() error {
	if o.w == nil {
		return nil
	}
	info, err := o.w.Finish()
	if err != nil {
		return err
	}
	o.infos = append(o.infos, info)
	if o.keys == nil {
		o.keys = map[string]manifest.KeyRange{}
	}
	o.keys[info.Name] = manifest.KeyRange{First: manifest.SeriesKey(o.first.Tenant, o.first.Labels), Last: manifest.SeriesKey(o.last.Tenant, o.last.Labels)}
	o.w = nil
	return nil
}

// fits reports whether the blocks of the day may be added to a state.
func (o *dayOutput) fits(st *manifest.State, gen uint64) bool {
	for _, keys := range o.keys {
		if max, err := st.ImportGeneration(o.day, keys); err != nil || gen > max {
			return false
		}
	}
	return true
}

func (d *directWriter) discard() {
	for _, out := range d.sorted() {
		out.discard(d.run.db)
	}
}

func (o *dayOutput) discard(db *DB) {
	var names []string
	if o.w != nil {
		names = append(names, o.w.Name())
		o.w.Abort()
	}
	for _, b := range o.infos {
		names = append(names, b.Name)
	}
	db.set.Discard(names...)
}
