package block

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/internal/objstore"
)

// WriterOptions are the options of a Writer. The zero value is the default.
type WriterOptions struct {
	// PostingsBatch bounds the ordinals in memory, 4 bytes each, while postings
	// are written: the series are walked once per batch. 0 = 2 Mi.
	PostingsBatch int
	// DedupeColumns is the minimum number of columns of times, and of values,
	// that are remembered to store equal ones once; the maximum is twice as
	// many. 0 = 64 Ki, about 25 MiB.
	DedupeColumns int
	// Taken reports whether a name must not be used although no file may have
	// it, as blockset.Set.Taken does. nil = no such names.
	Taken func(name string) bool
	// Identities are shared with other blocks of mostly the same series that the same
	// goroutine writes; nil = not shared.
	Identities *SharedIdentities
	// Index is a block, with IntactIndex, whose index is copied if the block has exactly
	// its series; see SeriesAt. It must not be closed before Finish. nil = none.
	Index *Block
	// Repeated is repeated in the footer; it is retained until Finish.
	Repeated Repeated
}

// Writer writes one block front to back. Until Finish succeeds the object has no
// tail and is not a block. A Writer is not safe for concurrent use. After an
// error every method returns that error, and Finish aborts the object.
type Writer struct {
	name        string // of the block, its key in the store
	meta        Meta
	out         *output
	columns     *columnWriter
	index       indexWriter
	exemplars   exemplarWriter
	generations generationWriter
	metadata    []MetricMetadata

	series   currentSeries
	numbers  []uint32             // labels of the current series, if numbered
	held     model.ColumnSet      // buffered samples of the current series and partition
	span     model.TimeRange      // that partition
	rung     uint8                // lowest rung for the samples in held
	hint     encoding.FloatHint   // how the last column of floats was encoded
	encoded  []byte               // scratch: a column of values
	kinds    [sampleKinds]columns // scratch: a window with both kinds
	pending  pendingRows          // of the current series of a rollup
	repeated Repeated

	samples, chunks  uint64
	minTime, maxTime int64
	err              error
}

// currentSeries is the series being written. Its ordinal is assigned with its
// first chunk.
type currentSeries struct {
	set        bool
	listed     bool
	tenant     uint32
	id         model.Identity
	labels     labels.Labels
	numbered   bool   // Writer.numbers are its labels, in place of labels
	copied     bool   // it is series from of WriterOptions.Index, in place of tenant, id and labels
	from       uint32 //
	ord        uint32
	last       int64              // time of the last row passed to the Writer, over all kinds
	taken      bool               // last is set
	kindLast   [sampleKinds]int64 // time of the last sample laid out, by kind
	kindTaken  [sampleKinds]bool  // kindLast is set
	exemplars  []model.Exemplar
	generation uint64
}

// maxOrdinals bounds the number of names tried for one block.
const maxOrdinals = 1 << 16

// freeName raises the ordinal of m until no object has the resulting name. The
// object of a failed attempt is never replaced: an edit in doubt may list it, or
// it cannot be deleted.
func freeName(store objstore.Store, m Meta, taken func(name string) bool) (Meta, error) {
	for end := uint64(m.Ordinal) + maxOrdinals; uint64(m.Ordinal) < min(end, math.MaxUint32); m.Ordinal++ {
		if taken != nil && taken(FileName(m)) {
			continue
		}
		switch _, err := store.Head(context.Background(), FileName(m)); {
		case errors.Is(err, fs.ErrNotExist):
			return m, nil
		case err != nil && !errors.Is(err, objstore.ErrUnreadable):
			return m, fmt.Errorf("create block %s: %w", FileName(m), err)
		}
	}
	return m, fmt.Errorf("create block %s: this name and %d before it are taken", FileName(m), maxOrdinals)
}

// Create starts a block in a store. Its name is FileName(m), with the ordinal
// raised until the name is unused.
func Create(store objstore.Store, m Meta, o WriterOptions) (*Writer, error) {
	if err := errors.Join(m.Validate(), o.Repeated.check()); err != nil {
		return nil, fmt.Errorf("create block: %w", err)
	}
	m, err := freeName(store, m, o.Taken)
	if err != nil {
		return nil, err
	}
	w := &Writer{name: FileName(m), meta: m, minTime: math.MaxInt64, maxTime: math.MinInt64, repeated: o.Repeated.bounded()}
	object, err := store.Create(context.Background(), w.name)
	if err != nil {
		return nil, fmt.Errorf("create block %s: %w", w.name, err)
	}
	w.out = &output{object: object}
	w.columns = newColumnWriter(w.out, tierOf(m.Level), orDefault(o.DedupeColumns, DefaultDedupeColumns))
	w.index.out, w.exemplars.out = w.out, w.out
	w.index.batch, w.index.identities.shared = orDefault(o.PostingsBatch, postingsBatch), o.Identities
	if o.Index != nil {
		w.index.source = &indexSource{block: o.Index, labels: labelReader{block: o.Index}}
	}
	w.out.write(appendHeader(nil))
	return w, nil
}

// tierOf returns the encoding tier for columns of a level: fast for L0 and L1,
// which are merged soon, and full for L2, which stays.
func tierOf(l Level) encoding.Tier {
	if l == L2 {
		return encoding.Full
	}
	return encoding.Fast
}

// Name returns the block's name, its key in the store.
func (w *Writer) Name() string { return w.name }

// Ordinal returns the ordinal of the block, which may be higher than requested.
func (w *Writer) Ordinal() uint32 { return w.meta.Ordinal }

// Written returns the bytes laid out so far, without the index.
func (w *Writer) Written() int64 { return w.out.off + w.columns.waitingBytes() }

// Series begins the next series. Series must be in the order of Compare. ls is
// retained until a later call of Series or Finish. A series without a chunk is left
// out.
func (w *Writer) Series(tenant uint32, id model.Identity, ls labels.Labels) error {
	w.endSeries()
	w.begin(currentSeries{tenant: tenant, id: id, labels: ls})
	return w.err
}

// Label returns the number by which SeriesOfLabels names a label of the block. It copies
// name and value. The block has no label that no series with samples has.
func (w *Writer) Label(name, value string) uint32 {
	switch n := max(len(name), len(value)); {
	case name == "" || value == "":
		w.check(fmt.Errorf("label %q=%q without name or value", name, value))
	case n > maxLabelBytes:
		w.check(errLabelBytes(n))
	}
	return w.index.table.pair(name, value, noPair)
}

// SeriesOfLabels is Series for labels by the numbers of Label, which it does not retain.
func (w *Writer) SeriesOfLabels(tenant uint32, id model.Identity, numbers []uint32) error {
	w.endSeries()
	w.numbers = append(w.numbers[:0], numbers...)
	w.begin(currentSeries{tenant: tenant, id: id, numbered: true})
	return w.err
}

// begin begins series s after the end of the one before.
func (w *Writer) begin(s currentSeries) {
	s.set, s.exemplars, s.generation = true, w.series.exemplars[:0], w.meta.MaxGen
	w.series = s
}

// Ends returns the first and the last series of a block that is finished.
func (w *Writer) Ends() (first, last SeriesEntry, err error) { return w.index.firstAndLast() }

// endSeries writes the buffered rows and the exemplars of the current series.
func (w *Writer) endSeries() {
	w.flush(true)
	w.flushRows()
	if w.series.listed {
		w.generations.add(w.series.generation)
	}
	if w.series.listed && len(w.series.exemplars) > 0 && w.err == nil {
		if err := w.exemplars.add(w.series.ord, w.series.exemplars); err != nil {
			w.check(fmt.Errorf("series %v: %w", w.labels(), err))
		}
	}
	clear(w.series.exemplars)
	w.series.listed = false
	w.span = model.TimeRange{}
	w.check(w.out.err)
}

// check keeps the first error.
func (w *Writer) check(err error) {
	if w.err == nil && err != nil {
		w.err = fmt.Errorf("write block %s: %w", w.name, err)
	}
}

// list adds the current series to the index and assigns its ordinal, unless that
// is done already. It reports whether there was no error.
func (w *Writer) list() bool {
	if w.err == nil && !w.series.listed {
		w.series.ord = uint32(w.index.series)
		switch s := &w.series; {
		case s.copied:
			w.check(w.index.addFrom(s.from))
		case s.numbered:
			w.check(w.index.addPairs(s.tenant, s.id, w.numbers))
		default:
			w.check(w.index.add(s.tenant, s.id, s.labels))
		}
		w.series.listed = w.err == nil
	}
	return w.err == nil
}

// row adds a row to the directory. count is its number of samples or buckets.
func (w *Writer) row(r row, first, last int64, count int) {
	if kind := r.flags.kind(); kind < sampleKinds {
		w.series.kindLast[kind], w.series.kindTaken[kind] = last, true
	}
	w.columns.addRow(r)
	w.chunks++
	w.samples += uint64(count)
	w.minTime, w.maxTime = min(w.minTime, first), max(w.maxTime, last)
	w.check(w.out.err)
}

func anySet(ts []int64) bool {
	for _, t := range ts {
		if t != 0 {
			return true
		}
	}
	return false
}

// Exemplars adds exemplars to the current series, in ascending order of time.
// Their labels are retained until the series ends.
func (w *Writer) Exemplars(es []model.Exemplar) error {
	if w.err == nil && !w.series.set {
		w.check(errors.New("exemplars of no series"))
	}
	w.series.exemplars = append(w.series.exemplars, es...)
	return w.err
}

// Metadata sets the metadata of a metric, at any time before Finish. The last call
// for a metric wins.
func (w *Writer) Metadata(tenant uint32, metric string, m model.Metadata) error {
	if n := max(len(metric), len(m.Type), len(m.Unit), len(m.Help)); n > maxLabelBytes {
		w.check(fmt.Errorf("metadata of %d bytes exceeds the limit of %d", n, maxLabelBytes))
		return w.err
	}
	w.metadata = append(w.metadata, MetricMetadata{Tenant: tenant, Metric: metric, Metadata: m})
	return w.err
}

// Finish writes the index and the tail and commits the object. If the block has
// no series it returns ErrEmptyBlock. After any error the object is aborted.
func (w *Writer) Finish() (Info, error) {
	w.endSeries()
	if w.err == nil && w.index.series == 0 {
		w.err = ErrEmptyBlock
	}
	if w.err != nil {
		w.Abort()
		return Info{}, w.err
	}
	w.columns.finishPage()
	w.exemplars.flush()
	w.index.write()
	w.index.writeBlob(sectionDirectory, appendFences(nil, w.columns.fences))
	if len(w.exemplars.fences) > 0 {
		w.index.writeBlob(sectionExemplars, appendFences(nil, w.exemplars.fences))
	}
	if len(w.metadata) > 0 {
		w.index.writeBlob(sectionMetadata, appendMetadata(nil, w.metadata))
	}
	if g := w.generations.finish(); len(g.all) > 1 || g.all[0] != w.meta.MaxGen {
		w.index.writeBlob(sectionGenerations, g.append(nil))
	}
	f := footer{
		meta: w.meta, series: w.index.series, samples: w.samples, chunks: w.chunks,
		minTime: w.minTime, maxTime: w.maxTime,
		repeated: w.repeated, sections: w.index.sections,
	}
	tail := appendTail(nil, &f)
	if len(tail) > maxTailBytes {
		w.check(fmt.Errorf("tail of %d bytes exceeds the limit of %d", len(tail), maxTailBytes))
	}
	w.out.write(tail) // twice, so that no single damaged byte loses the block
	w.out.write(tail)
	w.check(w.out.err)
	info := f.info(w.name, w.out.off, tail)
	if w.err == nil {
		_, err := w.out.object.Commit(context.Background())
		w.check(err)
	}
	if w.err != nil {
		w.Abort()
		return Info{}, w.err
	}
	w.err = errors.New("block is finished")
	return info, nil
}

// Abort discards the object. It must not be called after Finish has succeeded.
func (w *Writer) Abort() {
	_ = w.out.object.Abort() // an unlisted object is deleted when the set is opened
	w.check(errors.New("block is given up"))
}

// orDefault returns v, or def if v is not positive.
func orDefault(v, def int) int {
	if v <= 0 {
		return def
	}
	return v
}
