package archive

import (
	"cmp"
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
	// archive or damaged in it, and the log up to where it is. Queries over the times of the
	// blocks warn.
	AcceptDamage bool
}

// ErrDamaged is returned by Restore for a moment of which blocks, or parts of the log, are
// missing from the archive, or damaged in it.
var ErrDamaged = errors.New("the archive lacks blocks of the moment, or has damaged ones")

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
	LogErr  error // why the log ends before the moment; nil = it does not
}

// Restore makes a data directory of an archived moment: the blocks of the newest mark that
// is not after it, and the log from there up to the moment.
func Restore(ctx context.Context, o RestoreOptions) (*RestoreReport, error) {
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	f, err := find(ctx, &o)
	if err != nil {
		return nil, err
	}
	st := f.state
	unlock, err := prepareDir(&o)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := &restore{o: &o, meter: newMeter(o.Clock, o.BytesPerSecond, o.Progress), report: &RestoreReport{Mark: f.marks[f.at], LSN: f.mark.LSN}}
	for _, l := range st.Blocks {
		r.meter.total += l.Size
	}
	for _, p := range f.chain.pieces {
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
		bad := map[string]bool{}
		for _, d := range r.report.Damaged {
			errs = append(errs, d.Err)
			bad[blockKey(o.Incarnation, st.Blocks[d.Name].Info)] = true
		}
		f.chain = nil // it needs the same blocks
		return r.report, f.advise(ctx, fmt.Errorf("%w: %d of %d, the others are sound: %w", ErrDamaged, n, r.report.Blocks, errors.Join(errs...)), f.at-1, bad)
	}
	if err := r.log(ctx, f); err != nil {
		return nil, err
	}
	if err := r.finish(ctx, st); err != nil {
		return nil, err
	}
	r.meter.finish()
	return r.report, nil
}

// finder looks for what restores a target.
type finder struct {
	o     *RestoreOptions
	marks []MarkRef // by rising LSN

	at    int // index of the mark whose blocks are restored
	mark  *mark
	state *manifest.State
	chain *chain // the log that leads from the mark to the target
}

// find finds the mark whose blocks are restored: the newest one that is not after the
// target. If that is damaged, an older one from which the log leads to the target serves.
func find(ctx context.Context, o *RestoreOptions) (*finder, error) {
	h, _, damage, err := openHead(ctx, o.Store, o.Incarnation)
	if err != nil {
		return nil, err
	}
	f := &finder{o: o, marks: h.Marks}
	if len(f.marks) == 0 {
		return nil, errors.Join(fmt.Errorf("incarnation %016x: %w", o.Incarnation, ErrEmpty), damage)
	}
	newest, err := o.Target.base(f.marks)
	if err != nil {
		return nil, err
	}
	var bad error // of the first mark that is damaged
	for f.at = newest; f.at >= 0; f.at-- {
		f.mark, f.state, err = loadMark(ctx, o.Store, o.Incarnation, f.marks[f.at])
		if isDamage(err) {
			bad = cmp.Or(bad, err)
			continue
		} else if err != nil {
			return nil, err
		}
		if err = f.reach(ctx, f.at == newest); err == nil {
			return f, nil
		}
		if bad != nil && errors.Is(err, ErrNotCovered) {
			err = bad
		}
		if !isDamage(err) {
			return nil, err
		}
		return nil, f.advise(ctx, fmt.Errorf("%v cannot be restored: %w", o.Target, err), f.at, nil)
	}
	return nil, fmt.Errorf("%v cannot be restored: %w; the archive has no earlier moment that is whole", o.Target, bad)
}

// reach collects the log that leads from the mark to the target. newest tells that no other
// mark is nearer. The error of a target that the log does not reach is ErrNotCovered, or that
// of a damaged mark which may have the log that lacks.
func (f *finder) reach(ctx context.Context, newest bool) error {
	m, t := f.mark, f.o.Target
	f.chain = newChain(m)
	c := f.chain
	if t.LSN != nil && *t.LSN == m.LSN || newest && (t.AtMs == nil && t.LSN == nil || t.AtMs != nil && *t.AtMs == m.WallMs) {
		return nil
	}
	var bad error
	for _, next := range f.marks[f.at+1:] {
		later, _, err := loadMark(ctx, f.o.Store, f.o.Incarnation, next)
		if isDamage(err) {
			bad = cmp.Or(bad, err)
			continue
		} else if err != nil {
			return err
		}
		reached := c.extend(later)
		if t.passed(c.end, c.maxMs) || t.LSN != nil && c.end >= *t.LSN || reached && t.passed(later.LSN, later.WallMs) {
			return nil
		}
		if reached {
			continue
		}
		if bad != nil {
			return bad
		}
		return fmt.Errorf("%w: the log after %s (LSN %d) was not archived; the nearest moments are that and %s (LSN %d). Give the server --wal.keep of at least the interval of backups",
			ErrNotCovered, timeText(max(m.WallMs, c.maxMs)), c.end, timeText(later.WallMs), later.LSN)
	}
	if bad != nil {
		return bad
	}
	last := f.marks[len(f.marks)-1]
	return fmt.Errorf("%w: %v is after the newest backup, %s at LSN %d", ErrNotCovered, t, timeText(last.WallMs), last.LSN)
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

// errLogDamaged is an error about a piece of the log in the archive.
var errLogDamaged = fmt.Errorf("%w: its log", ErrDamaged)

// errReached ends the reading of pieces.
var errReached = errors.New("the target is reached")

// log restores the frames up to the target.
func (r *restore) log(ctx context.Context, f *finder) error {
	dir := path.Join(r.o.Dir, format.WALDir)
	b := wal.NewBuilder(r.o.FS, dir, f.state.Number)
	defer b.Abort()
	last, maxMs := uint64(0), int64(0)
	for i := range f.chain.pieces {
		p := &f.chain.pieces[i]
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
		if isDamage(err) && r.o.AcceptDamage {
			r.report.LSN, r.report.LogErr = last, err
			break
		} else if isDamage(err) {
			return r.logDamaged(ctx, f, p, last, err)
		}
		if err != nil {
			return err
		}
	}
	if r.report.MaxMs = maxMs; r.report.LogErr == nil {
		r.report.LSN = max(r.report.LSN, last)
	}
	if err := b.Finish(path.Join(r.o.Dir, format.SegmentsName)); err != nil {
		return fmt.Errorf("restore the log: %w", err)
	}
	return nil
}

// logDamaged returns the error of a piece of the log that is damaged behind the frame with
// an LSN.
func (r *restore) logDamaged(ctx context.Context, f *finder, p *piece, last uint64, err error) error {
	err = fmt.Errorf("%w: %w", errLogDamaged, err)
	if last >= f.mark.LSN {
		return fmt.Errorf("%w; the newest moment before it that is whole: --at-lsn %d", err, last)
	}
	f.chain = nil
	return f.advise(ctx, err, f.at-1, map[string]bool{pieceKey(r.o.Incarnation, p): true})
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
	if errors.Is(err, format.ErrCorrupt) && got.RawCRC == p.RawCRC && got.RawBytes == p.RawBytes {
		err = nil // the damage is behind the frames
	}
	if err != nil {
		return fmt.Errorf("restore the log: %s: %w", key, err)
	}
	if got.RawCRC != p.RawCRC || got.Segment != p.Segment || got.First != p.First || got.Last != p.Last {
		return fmt.Errorf("restore the log: %s: %w: another piece than the mark lists", key, format.ErrCorrupt)
	}
	return nil
}

// removeOthers removes the blocks of another moment, which an interrupted restore has left.
func (r *restore) removeOthers(ctx context.Context, st *manifest.State) error {
	store := objstore.NewDir(r.o.FS, r.o.Dir)
	keys, err := store.List(ctx, "")
	if err != nil {
		return fmt.Errorf("list restored blocks: %w", err)
	}
	var others []string
	for _, key := range keys {
		if _, listed := st.Blocks[key]; !listed && path.Ext(key) == format.BlockSuffix {
			others = append(others, key)
		}
	}
	return errors.Join(store.Delete(ctx, others...)...)
}

// finish writes the MANIFEST and removes the file RESTORING, with which no server opens
// the directory.
func (r *restore) finish(ctx context.Context, st *manifest.State) error {
	if err := r.removeOthers(ctx, st); err != nil {
		return err
	}
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
