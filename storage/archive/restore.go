package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

// RestoreOptions are the options of a restore. All but Target, BytesPerSecond and Progress
// are required.
type RestoreOptions struct {
	Store       objstore.Store
	Incarnation uint64 // in the archive
	Target      Target
	FS          vfs.FS
	Dir         string // missing, empty, or left by a restore that was interrupted
	// NewIncarnation is a random number, which names the restored database.
	NewIncarnation uint64
	Clock          vfs.Clock // nil = the system clock
	BytesPerSecond int64     // bound of the rate; 0 = none
	Progress       func(Progress)
	// AcceptDamage restores what is sound although blocks of the mark are missing from the
	// archive or damaged in it. Queries over their times warn.
	AcceptDamage bool
}

// ErrDamaged is returned by Restore for a moment of which blocks are missing from the
// archive, or damaged in it.
var ErrDamaged = errors.New("the archive lacks blocks of the moment")

// RestoreReport is the result of a restore.
type RestoreReport struct {
	Mark   MarkRef // that the blocks are of
	LSN    uint64  // of the last frame
	MaxMs  int64   // highest wall time of a frame, Unix milliseconds
	Blocks int
	Bytes  int64 // of blocks
	Frames int
	// Damaged are blocks that are not there, or only in part: see AcceptDamage.
	Damaged []DamagedBlock
}

// Restore makes a data directory of an archived moment: the blocks of the newest mark that
// is not after it, and the log from there up to the moment.
func Restore(ctx context.Context, o RestoreOptions) (*RestoreReport, error) {
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	m, c, ref, err := find(ctx, &o)
	if err != nil {
		return nil, err
	}
	st, err := manifest.Decode(m.Manifest)
	if err != nil {
		return nil, fmt.Errorf("MANIFEST of the backup of %s: %w", timeText(m.WallMs), err)
	}
	unlock, err := prepareDir(&o)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := &restore{o: &o, meter: newMeter(o.Clock, o.BytesPerSecond, o.Progress), report: &RestoreReport{Mark: ref, LSN: m.LSN}}
	for _, l := range st.Blocks {
		r.meter.total += l.Size
	}
	for _, p := range c.pieces {
		r.meter.total += p.Object.Size
	}
	for _, l := range st.Sorted() {
		err := r.block(ctx, l.Info)
		if err != nil && (errors.Is(err, format.ErrCorrupt) || errors.Is(err, fs.ErrNotExist)) {
			r.meter.skip(l.Size)
			r.report.Damaged = append(r.report.Damaged, DamagedBlock{l.Name, err})
			err = nil
		}
		if err != nil {
			return nil, err
		}
	}
	if n := len(r.report.Damaged); n > 0 && !o.AcceptDamage {
		var errs []error
		for _, d := range r.report.Damaged {
			errs = append(errs, d.Err)
		}
		return r.report, fmt.Errorf("%w: %d of %d, the others are sound: %w", ErrDamaged, n, r.report.Blocks, errors.Join(errs...))
	}
	if err := r.log(ctx, c, st); err != nil {
		return nil, err
	}
	if err := r.finish(st); err != nil {
		return nil, err
	}
	r.meter.finish()
	return r.report, nil
}

// find returns the mark whose blocks are restored and the log that leads from it to the
// target.
func find(ctx context.Context, o *RestoreOptions) (*mark, *chain, MarkRef, error) {
	h, _, err := readHead(ctx, o.Store, o.Incarnation)
	if err != nil {
		return nil, nil, MarkRef{}, err
	}
	if len(h.Marks) == 0 {
		return nil, nil, MarkRef{}, fmt.Errorf("incarnation %016x: %w", o.Incarnation, ErrEmpty)
	}
	at, err := o.Target.base(h.Marks)
	if err != nil {
		return nil, nil, MarkRef{}, err
	}
	ref := h.Marks[at]
	m, err := readMark(ctx, o.Store, o.Incarnation, ref)
	if err != nil {
		return nil, nil, ref, err
	}
	c := newChain(m)
	t := o.Target
	exact := t.AtMs == nil && t.LSN == nil || t.AtMs != nil && *t.AtMs == m.WallMs || t.LSN != nil && *t.LSN == m.LSN
	if exact {
		return m, c, ref, nil
	}
	for _, next := range h.Marks[at+1:] {
		later, err := readMark(ctx, o.Store, o.Incarnation, next)
		if err != nil {
			return nil, nil, ref, err
		}
		reached := c.extend(later)
		if t.passed(c.end, c.maxMs) || reached && (t.passed(later.LSN, later.WallMs) || t.LSN != nil && *t.LSN == later.LSN) {
			return m, c, ref, nil
		}
		if !reached {
			return nil, nil, ref, fmt.Errorf("%w: the log after %s (LSN %d) was not archived; the nearest moments are that and %s (LSN %d). Give the server --wal.keep of at least the interval of backups",
				ErrNotCovered, timeText(max(m.WallMs, c.maxMs)), c.end, timeText(later.WallMs), later.LSN)
		}
	}
	return nil, nil, ref, fmt.Errorf("%w: %v is after the newest backup, %s at LSN %d", ErrNotCovered, t, timeText(h.Marks[len(h.Marks)-1].WallMs), h.Marks[len(h.Marks)-1].LSN)
}

// prepareDir makes and locks the directory.
func prepareDir(o *RestoreOptions) (unlock func(), err error) {
	if err := vfs.MakeDirs(o.FS, o.Dir); err != nil {
		return nil, fmt.Errorf("restore to %s: %w", o.Dir, err)
	}
	names, err := o.FS.List(o.Dir)
	if err != nil {
		return nil, err
	}
	marker := path.Join(o.Dir, format.RestoringName)
	_, err = o.FS.Stat(marker)
	interrupted := err == nil
	for _, n := range names {
		if !interrupted && n != format.LostFoundDir && n != format.LockName {
			return nil, fmt.Errorf("restore to %s: it is not empty, it has %s", o.Dir, n)
		}
	}
	lock, err := o.FS.Lock(path.Join(o.Dir, format.LockName), "tsdb restore")
	if err != nil {
		return nil, fmt.Errorf("restore to %s: %w", o.Dir, err)
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	if !interrupted {
		f, err := o.FS.Create(marker)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(f.Sync(), f.Close(), o.FS.SyncDir(o.Dir)); err != nil {
			return nil, err
		}
	}
	// Of an interrupted restore only the blocks are used again.
	for _, n := range []string{format.ManifestName, format.TwinName, format.SegmentsName, format.WALDir} {
		if err := vfs.RemoveAll(o.FS, path.Join(o.Dir, n)); err != nil {
			return nil, err
		}
	}
	for _, n := range []string{format.WALDir, format.L0Dir, format.RawDir} {
		if err := o.FS.MkdirAll(path.Join(o.Dir, n)); err != nil {
			return nil, err
		}
	}
	return func() { _ = lock.Close() }, nil
}

// restore is one run.
type restore struct {
	o      *RestoreOptions
	meter  *meter
	report *RestoreReport
}

// block restores a block, unless an interrupted restore has done it.
func (r *restore) block(ctx context.Context, want block.Info) error {
	r.report.Blocks++
	r.report.Bytes += want.Size
	to := objstore.NewDir(r.o.FS, r.o.Dir)
	there, err := hasBlock(ctx, to, want.Name, want)
	if err != nil {
		return fmt.Errorf("verify %s: %w", want.Name, err)
	}
	if there {
		r.meter.skip(want.Size)
		return nil
	}
	key := blockKey(r.o.Incarnation, want)
	_, err = put(ctx, to, want.Name, r.meter.through(ctx), func(out io.Writer) (err error) {
		in, o, err := openReader(ctx, r.o.Store, key)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Close()) }()
		_, err = io.CopyBuffer(out, struct{ io.Reader }{in}, make([]byte, ioBytes))
		return err
	})
	if err != nil {
		return fmt.Errorf("restore %s: %w", want.Name, err)
	}
	b, err := block.Open(to, want.Name, nil)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // it was only read
	damage, err := checkBlock(ctx, b, want)
	if err == nil && damage != "" {
		err = fmt.Errorf("%w: %s", format.ErrCorrupt, damage)
	}
	if err != nil {
		return fmt.Errorf("%s in the backup: %w", want.Name, err)
	}
	return nil
}

// errReached ends the reading of pieces.
var errReached = errors.New("the target is reached")

// log restores the frames up to the target.
func (r *restore) log(ctx context.Context, c *chain, st *manifest.State) error {
	dir := path.Join(r.o.Dir, format.WALDir)
	b := wal.NewBuilder(r.o.FS, dir, st.Number)
	defer b.Abort()
	last, maxMs := uint64(0), int64(0)
	for i := range c.pieces {
		p := &c.pieces[i]
		if p.Last <= last {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.piece(ctx, p, func(segment uint64, f log.Frame) error {
			if f.LSN <= last {
				return nil
			}
			if r.o.Target.passed(f.LSN, max(maxMs, f.WallMs)) {
				return errReached
			}
			last, maxMs = f.LSN, max(maxMs, f.WallMs)
			r.report.Frames++
			return b.Add(segment, f)
		})
		if errors.Is(err, errReached) {
			break
		}
		if err != nil {
			return err
		}
	}
	r.report.LSN, r.report.MaxMs = max(r.report.LSN, last), maxMs
	if err := b.Finish(path.Join(r.o.Dir, format.SegmentsName)); err != nil {
		return fmt.Errorf("restore the log: %w", err)
	}
	return nil
}

func (r *restore) piece(ctx context.Context, p *piece, fn func(uint64, log.Frame) error) (err error) {
	key := pieceKey(r.o.Incarnation, p)
	if err := r.meter.through(ctx)(int(p.Object.Size)); err != nil {
		return err
	}
	in, o, err := openReader(ctx, r.o.Store, key)
	if err != nil {
		return fmt.Errorf("restore the log: %w", err)
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	got, err := readPiece(in, fn)
	if err != nil {
		return fmt.Errorf("restore the log: %s: %w", key, err)
	}
	if got.RawCRC != p.RawCRC || got.Segment != p.Segment || got.First != p.First || got.Last != p.Last {
		return fmt.Errorf("restore the log: %s: %w: another piece than the mark lists", key, format.ErrCorrupt)
	}
	return nil
}

// finish writes the MANIFEST and removes the file RESTORING, with which no server opens
// the directory.
func (r *restore) finish(st *manifest.State) error {
	st = st.Clone()
	clear(st.Dropped)
	st.Incarnation = manifest.Incarnation{ID: r.o.NewIncarnation}
	for _, dir := range []string{format.WALDir, format.L0Dir, format.RawDir, "."} {
		if err := r.o.FS.SyncDir(path.Join(r.o.Dir, dir)); err != nil {
			return err
		}
	}
	for _, base := range manifest.CopyNames {
		if err := manifest.WriteCopy(r.o.FS, r.o.Dir, base, st); err != nil {
			return fmt.Errorf("restore the MANIFEST: %w", err)
		}
	}
	err := r.o.FS.Remove(path.Join(r.o.Dir, format.RestoringName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.o.FS.SyncDir(r.o.Dir)
}
