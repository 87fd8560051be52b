package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Bounds of the publication of a run.
const (
	importYieldEvery = 16 // series between checks for more urgent work
	// importDirectMin is the number of samples of a day from which a run adds L2s to
	// a day that has L2s of other series: merges do not join them.
	importDirectMin = 1 << 20
)

// Publish makes the samples added since the last call durable and visible, and begins
// the next run. Days of which the database has nothing that the run could meet become
// L2s, one edit for all of them. The others become one L0, in one edit of its own: its
// generation is reserved by a cut, so that the samples win over all that are older
// and lose to all that come later. No other cut runs meanwhile; writers go on.
//
// After an error the run stays as it is, or with some of its days published, and Publish
// may be called again; Add may not. Publishing the same samples twice changes nothing,
// unless others were written in between.
func (im *Import) Publish(ctx context.Context) (ImportReceipt, error) {
	receipt := im.receipt()
	if receipt.Samples() > 0 {
		if err := im.db.acceptsImport(); err != nil {
			return ImportReceipt{}, fmt.Errorf("publish a run of an import: %w", err)
		}
		if err := im.publish(ctx, &receipt); err != nil {
			return ImportReceipt{}, fmt.Errorf("publish a run of an import: %w", err)
		}
	}
	im.db.count("import", &Receipt{Floats: receipt.Floats, Histograms: receipt.Histograms, Rejected: receipt.Rejected})
	im.Close()
	im.begin()
	return receipt, nil
}

// acceptsImport returns why no run can be published at the moment.
func (db *DB) acceptsImport() error {
	if err := db.wal.Err(); err != nil {
		return walError(err)
	}
	if why := db.space.refusal(); why != "" {
		return fmt.Errorf("%w: %s", ErrBusy, why)
	}
	return db.manifest.Err()
}

func (im *Import) publish(ctx context.Context, receipt *ImportReceipt) error {
	if !im.frozen {
		im.frozen = true
		im.buf.Freeze()
	}
	im.db.catalog.sweep(ctx) // files of a failed run need not take space beside the new ones
	refs, _ := im.head.Sorted(im.buf)
	run := &importRun{Import: im, refs: refs}
	if err := run.setKeys(); err != nil {
		return err
	}
	for days := run.directDays(); len(days) > 0; {
		n := min(len(days), importOutputs)
		infos, err := run.publishDirect(ctx, days[:n])
		if err != nil {
			return err
		}
		for _, b := range infos {
			receipt.add(b)
			delete(im.days, b.Partition)
		}
		days = days[n:]
	}
	if len(im.days) > 0 {
		b, err := im.db.flusher.publishReserved(ctx, func(gen uint64) (block.Info, error) { return run.writeL0(ctx, gen) })
		if err != nil {
			return err
		}
		receipt.add(b)
		im.changed(slices.Sorted(maps.Keys(im.days)))
		clear(im.days)
	}
	wake(im.db.jobs.merged)
	im.db.log.Info("a run of an import published", "series", receipt.Series, "samples", receipt.Samples(),
		"blocks", receipt.Blocks, "direct", receipt.Direct, "bytes", receipt.Bytes)
	return nil
}

// changed invalidates what is cached of days.
func (im *Import) changed(days []int64) {
	for _, day := range days {
		im.db.changes.addRange(block.Raw.PartitionRange(day), model.AllMetrics)
	}
}

// importRun is a run that is being published.
type importRun struct {
	*Import
	refs []model.Ref // in the order of blocks
	keys manifest.KeyRange

	samples model.Samples // scratch
	builder model.LabelBuilder
}

func (r *importRun) setKeys() error {
	var ends [2]string
	for i, ref := range []model.Ref{r.refs[0], r.refs[len(r.refs)-1]} {
		s, err := r.series(ref)
		if err != nil {
			return err
		}
		ends[i] = manifest.SeriesKey(s.Tenant, s.Labels)
	}
	r.keys = manifest.KeyRange{First: ends[0], Last: ends[1]}
	return nil
}

func (r *importRun) series(ref model.Ref) (block.SeriesEntry, error) {
	tenant, id, ls, ok := r.head.LabelsTo(ref, &r.builder)
	if !ok {
		return block.SeriesEntry{}, fmt.Errorf("BUG: series %d of a run has left its head", ref)
	}
	return block.SeriesEntry{Tenant: tenant, ID: id, Labels: ls}, nil
}

// writerOptions returns the options of n blocks that are written at once.
func (r *importRun) writerOptions(n int) block.WriterOptions {
	o := block.WriterOptions{Taken: r.db.set.Taken, Repeated: r.db.manifest.State().Repeated()}
	if n > importDedupe {
		o.DedupeColumns = block.DefaultDedupeColumns * importDedupe / n
	}
	return o
}

// writeL0 writes the days that are left as one L0.
func (r *importRun) writeL0(ctx context.Context, gen uint64) (_ block.Info, err error) {
	meta := block.Meta{Key: block.SpanningKey(block.L0), MinGen: gen, MaxGen: gen, Inputs: []string{block.InputImport}}
	w, err := block.Create(r.db.objects, meta, r.writerOptions(1))
	if err != nil {
		return block.Info{}, err
	}
	defer func() {
		if err != nil {
			w.Abort()
			r.db.set.Discard(w.Name())
		}
	}()
	defer panics.Catch(&err)
	days := slices.Sorted(maps.Keys(r.days))
	span := model.TimeRange{Min: days[0], Max: block.Raw.PartitionRange(days[len(days)-1]).Max}
	for i, ref := range r.refs {
		if i%importYieldEvery == 0 {
			if err := r.paceCutting(ctx); err != nil {
				return block.Info{}, err
			}
		}
		s, err := r.series(ref)
		if err != nil {
			return block.Info{}, err
		}
		r.samples.Reset()
		r.buf.Samples(ref, span, &r.samples)
		if err := w.Series(s.Tenant, s.ID, s.Labels); err != nil {
			return block.Info{}, err
		}
		any := false
		for part := range byDay(&r.samples) {
			if _, left := r.days[block.Raw.PartitionStart(part.T[0])]; left {
				any = true
				if err := w.Samples(&part); err != nil {
					return block.Info{}, err
				}
			}
		}
		if es := r.buf.Exemplars(ref); any && len(es) > 0 {
			if err := w.Exemplars(es); err != nil {
				return block.Info{}, err
			}
		}
	}
	for k, m := range r.metadata.all() {
		if err := w.Metadata(k.tenant, k.metric, m); err != nil {
			return block.Info{}, err
		}
	}
	return w.Finish()
}

// publishReserved publishes the block that write makes of a generation which is newer
// than all that is stored and older than all that is written from now on. It holds mu
// throughout, and the log's low end stays at the generation until the block is listed:
// so nothing newer becomes a block, and no rollup claims to have the generation.
func (f *flusher) publishReserved(ctx context.Context, write func(gen uint64) (block.Info, error)) (block.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var reserved uint64
	err := f.runCutLocked(ctx, func(ctx context.Context) (err error) {
		if err := f.finishLocked(ctx); err != nil {
			return err
		}
		f.mu.tablesAtCut = f.head.Stats().Bytes
		if f.mu.frozen, reserved, err = f.writer.freezeReserving(ctx); err != nil {
			return fmt.Errorf("freeze the head: %w", err)
		}
		return f.finishLocked(ctx)
	})
	if err != nil {
		return block.Info{}, err
	}
	info, err := write(reserved)
	low := reserved + 1
	edit := manifest.Edit{WALLow: &low} // also if there is no block: the log has no such generation
	if err == nil {
		edit.Add = []block.Info{info}
	}
	if _, editErr := f.catalog.edit(edit, nil); err == nil && editErr != nil {
		f.catalog.set.Discard(info.Name)
		err = editErr
	}
	return info, err
}
