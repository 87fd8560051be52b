package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
	"tsdb/storage/head"
)

// headSizes decide when the head is cut.
type headSizes struct {
	walBytes        int64 // of the log since the low end of the active head
	headBytes       int64 // of samples in memory
	tableGrowth     int64 // bytes by which the tables of series grew since the last cut began
	samples, series uint64
	age             time.Duration
	deletions       time.Duration // since the oldest that no edit has recorded; 0 = none
}

// tableGrowthPart is the part of the tables' growth that counts as memory of the
// head: a cut frees only the tables of idle series. A high rate of new
// series is a reason to cut; a first scrape of a million series is not.
const tableGrowthPart = 4

// denseSamples is the number of samples of a live series from which the head is cut at CutAge; with
// fewer it waits four times as long.
const denseSamples = 60

// longSamples is the number of samples of a live series from which the head is cut at half of
// CutHeadBytes: its columns are long enough, and a cut costs little for each series.
const longSamples = 512

// cutReason returns why the head is due to be cut, "" if it is not. It is a pure
// decision. Bytes of the log and of memory always count, even without samples:
// exemplars, metadata and deletions fill the log too. Age counts sooner when the
// series are dense, because then the columns are worth it. Merges carry out a deletion
// only when the edit of a cut has recorded it.
func cutReason(o *Options, h headSizes) string {
	switch {
	case h.walBytes >= o.CutWALBytes:
		return "log"
	case h.headBytes+h.tableGrowth/tableGrowthPart >= o.CutHeadBytes:
		return "memory"
	case h.headBytes >= o.CutHeadBytes/2 && h.samples >= longSamples*h.series:
		return "memory"
	case h.samples > 0 && h.age >= 4*o.CutAge:
		return "age"
	case h.age >= o.CutAge && h.samples > 0 && h.samples >= denseSamples*h.series:
		return "age"
	case h.deletions >= o.CutAge:
		return "deletions"
	}
	return ""
}

// writeFrozen writes a frozen memtable as a block and publishes it: one step adds
// the block to the view and removes the buffer.
func (f *flusher) writeFrozen(ctx context.Context, table *memtable) error {
	buf := table.buf
	if err := f.catalog.manifest.Err(); err != nil {
		return err // no block could be published
	}
	began := f.opts.Clock.Now()
	f.catalog.sweep(ctx) // files of an edit that failed need not take space beside the new one
	meta := block.Meta{Key: block.SpanningKey(block.L0), MinGen: table.low, MaxGen: table.high}
	info, order, err := f.writeHead(ctx, table, meta)
	if err != nil && !errors.Is(err, block.ErrEmptyBlock) {
		return err
	}
	low := table.high + 1
	edit := manifest.Edit{WALLow: &low}
	if err == nil {
		edit.Add = []block.Info{info}
	} else if err := f.writer.relogMetadata(ctx, table); err != nil {
		return err // no block holds the metadata: the log has to
	}
	edit.AddTombstones = f.catalog.tombstones.upTo(buf.Generation())
	_, err = f.catalog.edit(edit, func(s *state) {
		s.frozen, f.mu.frozen = nil, nil
		f.catalog.tombstones.recorded(buf.Generation(), f.opts.Clock.Now())
		s.tombstones = f.catalog.tombstones.all(f.catalog.manifest.State().Tombstones)
	})
	if err != nil {
		if len(edit.Add) > 0 {
			f.catalog.set.Discard(info.Name)
		}
		return err
	}
	f.mu.last = lastCut{block: info.Name, order: order}
	f.signalCut()
	f.past.finish(ctx, edit)
	f.metrics.cuts.Inc()
	f.metrics.cutSeconds.Observe(f.opts.Clock.Now().Sub(began).Seconds())
	if len(edit.Add) > 0 {
		f.log.Info("head cut", "block", info.Name, "series", info.Series, "samples", info.Samples, "bytes", info.Size)
	} else {
		f.log.Info("head cut without a block: no samples", "generation", buf.Generation())
	}
	_ = f.jobs.release.Run(ctx, f.catalog.releaseLog) // the block is durable; the job repeats a failure
	// Series written in the generation just cut are not evicted: they have only
	// begun to be idle.
	if left := f.head.Evict(low - 1); left > 0 {
		f.log.Debug("idle series left the head", "series", left)
	}
	return nil
}

// lastCut describes the block of the last cut.
type lastCut struct {
	block string // its name; "" if there was none
	order uint64 // version of the order of series, 0 if some were missing: see head.Sorted
}

// indexBlock returns the block of the last cut if it has the series of the order, as many
// as given, and its index can be copied; otherwise nil. v must be held until the copy is
// complete.
func (f *flusher) indexBlock(ctx context.Context, v *blockset.Version, order uint64, series int) *block.Block {
	last := f.mu.last
	if order == 0 || order != last.order || last.block == "" {
		return nil
	}
	e := v.Find(last.block)
	if e == nil || e.Block() == nil || e.Series != uint64(series) {
		return nil
	}
	if intact, err := e.Block().IntactIndex(ctx); err != nil || !intact {
		return nil // the cut does not depend on it
	}
	return e.Block()
}

// writeHead streams a memtable's series, in block order, into one block file. order is
// their order, as in lastCut.
func (f *flusher) writeHead(ctx context.Context, table *memtable, meta block.Meta) (_ block.Info, order uint64, err error) {
	refs, order := f.head.Sorted(table.buf)
	v := f.catalog.set.Acquire()
	defer v.Release()
	w, err := block.Create(f.objects, meta, block.WriterOptions{
		Taken:    f.catalog.set.Taken,
		Repeated: block.Repeated{Seed: f.catalog.manifest.State().Seed}, // only what never changes: a repeated cut has the same bytes
		Index:    f.indexBlock(ctx, v, order, len(refs)),
	})
	if err != nil {
		return block.Info{}, 0, err
	}
	defer func() {
		if err != nil {
			w.Abort()
			f.catalog.set.Discard(w.Name()) // in case the file could not be removed
		}
	}()
	defer panics.Catch(&err)
	if err := f.writeSeries(ctx, w, table, refs); err != nil {
		return block.Info{}, 0, err
	}
	info, err := w.Finish()
	return info, order, err
}

// writeSeries writes all that the frames of a memtable have brought, also what
// lies below the retention floor: views hide it, retention and merges drop it.
func (f *flusher) writeSeries(ctx context.Context, w *block.Writer, table *memtable, refs []model.Ref) error {
	buf := table.buf
	var samples model.Samples
	numbering := head.NewNumbering(w.Label)
	var numbers []uint32
	tell := f.jobs.cut.Progress("a block of "+model.FormatCount(buf.Stats().Samples, "sample"), "series")
	for i, ref := range refs {
		if i%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			tell(uint64(i), uint64(len(refs)))
		}
		samples.Reset()
		buf.Samples(ref, model.AllTime, &samples)
		if !w.SeriesAt(uint32(i)) {
			tenant, id, labels, ok := f.head.LabelNumbers(ref, numbering, numbers[:0])
			if !ok {
				return fmt.Errorf("BUG: series %d of a live buffer has left the head", ref)
			}
			numbers = labels
			if err := w.SeriesOfLabels(tenant, id, labels); err != nil {
				return err
			}
		}
		if err := w.Samples(&samples); err != nil {
			return err
		}
		// A block has no series without samples, so exemplars alone leave with
		// the cut.
		if es := buf.Exemplars(ref); len(es) > 0 && samples.Len() == 0 {
			f.metrics.exemplarsDropped.Add(float64(len(es)))
		} else if len(es) > 0 {
			if err := w.Exemplars(es); err != nil {
				return err
			}
		}
	}
	for k, m := range table.metadata.all() {
		if err := w.Metadata(k.tenant, k.metric, m); err != nil {
			return err
		}
	}
	return nil
}
