package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/storage/head"
	"tsdb/storage/log"
)

// DeleteRequest says what to delete.
type DeleteRequest struct {
	Tenant uint32
	Range  model.TimeRange
	// Sets are sets of matchers: a series is deleted if all matchers of one set match.
	Sets [][]*labels.Matcher
	// DryRun estimates what would be deleted, and deletes nothing.
	DryRun bool
	// Purge has the marks of the history show the samples no more.
	Purge bool
}

// Delete is DeleteSeries for one set of matchers, without an estimate.
func (db *DB) Delete(ctx context.Context, tenant uint32, tr model.TimeRange, ms ...*labels.Matcher) error {
	_, err := db.writer.delete(ctx, DeleteRequest{Tenant: tenant, Range: tr, Sets: [][]*labels.Matcher{ms}})
	return err
}

// DeleteSeries removes the samples and exemplars of a range from the series that
// match. When it returns nil the deletion is durable and no view taken from now on
// shows them; blocks are rewritten by later merges. What is written after the call, to
// the same keys too, stays. Of rollups whose samples have expired, every bucket that
// the range touches is removed.
//
// In every shard the deletion has its place in the order of the log: it takes out of
// the active head what came before it. Blocks and the frozen head are covered by their
// generations, which are lower than the active one.
//
// The error is ErrDeleteTooLarge for a deletion that log or MANIFEST could not hold,
// ErrTooManyDeletions if too many are not carried out yet; nothing is done then.
func (db *DB) DeleteSeries(ctx context.Context, r DeleteRequest) (DeleteEstimate, error) {
	r.Range = r.Range.Intersect(model.AllTime)
	e, err := db.estimateDelete(ctx, r)
	if err != nil || r.DryRun {
		return e, err
	}
	gen, err := db.writer.delete(ctx, r)
	if err != nil {
		return e, err
	}
	db.metrics.deletions.Inc()
	db.metrics.deletedSamples.Add(float64(e.Samples))
	db.log.Info("series deleted", "match", selectorsText(r.Sets), "from", model.FormatTime(r.Range.Min), "to", model.FormatTime(r.Range.Max-1),
		"series", e.Series, "samples", e.Samples, "tenant", r.Tenant, "purge", r.Purge)
	if r.Purge {
		// After the deletion: marks that are taken meanwhile have it.
		if err := db.past.purge(&r, gen); err != nil {
			return e, fmt.Errorf("the series are deleted, but not from the history, repeat the request: %w", err)
		}
	}
	return e, nil
}

// Errors of deletions.
var (
	// ErrDeleteTooLarge is returned for matchers that are too many or too long.
	ErrDeleteTooLarge = errors.New("deletion is too large")
	// ErrTooManyDeletions is returned while too many deletions wait to be carried out.
	// It wraps ErrBusy.
	ErrTooManyDeletions = fmt.Errorf("%w: too many deletions are not carried out yet", ErrBusy)
)

const (
	// maxTombstoneBytes bounds the matchers of all deletions that are not carried
	// out yet: every snapshot of the MANIFEST repeats them.
	maxTombstoneBytes = 64 << 20
	// maxTombstones bounds the number of these deletions, after they were combined.
	// Every selection compares the range of each with each block, and a block
	// remembers the series of as many (blockset.Entry).
	maxTombstones = 1000
	// maxDeleteSets bounds the sets of matchers of one request.
	maxDeleteSets = 256
)

// deletion is a DeleteRequest ready to be applied.
type deletion struct {
	DeleteRequest
	compiled [][]*match.Matcher
	payloads [][]byte // of log.AppendTombstone
	bytes    int      // of all its frames
}

func (w *writer) prepareDelete(r DeleteRequest) (*deletion, error) {
	d := &deletion{DeleteRequest: r}
	if len(r.Sets) == 0 || r.Range.Empty() {
		return nil, fmt.Errorf("delete needs matchers and a range, got %d sets of matchers and [%d, %d)", len(r.Sets), r.Range.Min, r.Range.Max)
	}
	if len(r.Sets) > maxDeleteSets {
		return nil, fmt.Errorf("delete: %w: %d selectors, at most %d", ErrDeleteTooLarge, len(r.Sets), maxDeleteSets)
	}
	const numbered = 10 // bytes of a number in a payload
	end := log.FrameBytes(numbered)
	limit := min(w.wal.MaxPayload(), (w.wal.MaxReserve()-end)/model.Shards-log.FrameBytes(1)) - numbered
	total, frames := 0, 0
	for _, ms := range r.Sets {
		if len(ms) == 0 {
			return nil, errors.New("delete needs a matcher in every selector")
		}
		compiled, err := match.Compiled(ms)
		if err != nil {
			return nil, fmt.Errorf("delete: %w", err)
		}
		payload, err := log.AppendTombstone(nil, log.Tombstone{Matchers: ms, Range: r.Range})
		if errors.Is(err, log.ErrTooLarge) {
			return nil, fmt.Errorf("delete: %w: %w", ErrDeleteTooLarge, err)
		} else if err != nil {
			return nil, fmt.Errorf("delete: %w", err)
		}
		total += len(payload)
		frames += log.FrameBytes(len(payload) + numbered)
		if total > limit || frames > (w.wal.MaxReserve()-end)/model.Shards {
			return nil, fmt.Errorf("delete: %w: %d matchers take %d bytes, a frame of the log holds %d", ErrDeleteTooLarge, len(ms), total, limit)
		}
		d.compiled, d.payloads = append(d.compiled, compiled), append(d.payloads, payload)
	}
	d.bytes = model.Shards*frames + end
	return d, w.tombstones.room(w.views, len(r.Sets), int64(total))
}

// delete makes a deletion and returns its generation.
func (w *writer) delete(ctx context.Context, r DeleteRequest) (gen uint64, err error) {
	d, err := w.prepareDelete(r)
	if err != nil {
		return 0, err
	}
	done, err := w.wal.ReserveDelete(ctx, d.bytes)
	if err != nil {
		return 0, walError(err)
	}
	defer done()
	gen = w.applyDelete(d)
	return gen, walError(w.wal.Wait(ctx, w.wal.LastLSN()))
}

// applyDelete applies a deletion to the shards, one after the other. Writers wait for
// one shard at a time, a cut for all of them, so that the deletion lies in one
// generation. The last frame says that the deletion counts: without it replay ignores
// the others. The generation is returned.
func (w *writer) applyDelete(d *deletion) (gen uint64) {
	w.deleting.Lock()
	defer w.deleting.Unlock()
	finished := false
	defer func() {
		if !finished { // a panic: the head has what replay would not have
			w.wal.Fail(errors.New("a deletion was not completed"))
		}
	}()
	w.deleting.number++
	number, buf := w.deleting.number, w.active().buf
	for k, ms := range d.compiled {
		frame := append(log.AppendDeletionEnd(nil, number), d.payloads[k]...)
		hd := head.NewDeletion(d.Tenant, ms, d.Range)
		for i := range model.Shards {
			hd.Apply(w.head.Shard(i), buf, func() { w.wal.Append(i, d.Tenant, log.FrameDeletion, frame) })
		}
	}
	w.wal.Append(0, d.Tenant, log.FrameDeletionEnd, log.AppendDeletionEnd(nil, number))
	finished = true
	gen = w.wal.Generation()
	for _, ms := range d.Sets {
		w.tombstones.add(w.views, d.Tenant, ms, d.Range, gen, w.opts.Clock.Now())
		w.changes.addRange(d.Range, model.MetricsOf(ms))
	}
	return gen
}
