package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"time"

	"tsdb/encoding"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/datadir"
	"tsdb/storage/snapshot"
	"tsdb/storage/wal"
)

// DefaultGrace is how long an unreferenced object stays.
const DefaultGrace = 24 * time.Hour

// BackupOptions are the options of a backup. FS, Dir and Store are required.
type BackupOptions struct {
	FS    vfs.FS
	Dir   string // a data directory at rest, or a snapshot
	Store objstore.Conditional
	Clock vfs.Clock // nil = the system clock
	// BytesPerSecond bounds the rate of reading; 0 = no bound.
	BytesPerSecond int64
	Keep           time.Duration // marks older than this are dropped, but never the newest; 0 = none
	Grace          time.Duration // how long unreferenced objects stay; 0 = DefaultGrace
	// Progress is called now and then, from one goroutine; nil = not.
	Progress func(Progress)
}

// Progress reports how far a backup or a restore is, in bytes of objects.
type Progress struct {
	Done, Total int64
	Elapsed     time.Duration
}

// BackupReport is the result of a backup.
type BackupReport struct {
	Incarnation  uint64
	Mark         MarkRef
	Blocks       int   // in the mark
	BlockBytes   int64 // of these
	Written      int   // objects that were not there
	WrittenBytes int64
	DroppedMarks int
	Deleted      int // objects that no mark refers to
	// Damaged are the blocks that could not be read and are not archived: the mark
	// is not complete.
	Damaged []DamagedBlock
	// DamagedHead says why the head of the archive could not be read. It was written anew,
	// with the marks that were found. nil = it could be.
	DamagedHead error
	// DamagedMarks are earlier marks that could not be read. They are not listed any more;
	// the new mark depends on none of them.
	DamagedMarks []DamagedMark
}

// DamagedBlock is a block that a backup or a restore could not read.
type DamagedBlock struct {
	Name string
	Err  error
}

// Backup archives the present moment of a data directory. What the archive has already is
// not written again. A damaged block is left out and reported: BackupReport.Damaged. After an error, or if it is interrupted, it can be repeated and goes
// on where it was.
func Backup(ctx context.Context, o BackupOptions) (*BackupReport, error) {
	if o.Clock == nil {
		o.Clock = vfs.SystemClock
	}
	o.Grace = cmp.Or(o.Grace, DefaultGrace)
	unlock, err := datadir.Lock(o.FS, o.Dir, "")
	if err != nil {
		return nil, err
	}
	defer unlock()
	src, err := openSource(&o)
	if err != nil {
		return nil, err
	}
	b := &backup{o: &o, source: src, report: &BackupReport{Incarnation: src.mark.Incarnation}}
	b.meter = newMeter(o.Clock, o.BytesPerSecond, o.Progress)
	if err := b.run(ctx); err != nil {
		return b.report, err
	}
	return b.report, nil
}

// source is the moment of a data directory.
type source struct {
	state   *manifest.State
	log     *wal.Recovery
	extents []wal.Extent
	mark    mark // without pieces
}

func openSource(o *BackupOptions) (*source, error) {
	st, _, err := manifest.Read(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	if st.Incarnation.ID == 0 {
		return nil, fmt.Errorf("%s has no incarnation: start the server on it once with this version", o.Dir)
	}
	rec, err := datadir.ScanLog(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	if lost, err := datadir.LogLoss(o.FS, o.Dir, rec); err != nil {
		return nil, err
	} else if lost != nil {
		return nil, lost
	}
	s := &source{state: st, log: rec}
	if s.extents, err = rec.Extents(); err != nil {
		return nil, err
	}
	high := rec.Highest()
	s.mark = mark{
		Incarnation: st.Incarnation.ID, WallMs: st.WallMs, Edit: st.Number, Low: st.WALLow,
		LSN: rec.Report().LastLSN, Generation: max(high.Generation, st.HighGen),
	}
	if s.mark.LSN == 0 {
		s.mark.LSN = st.HighLSN
	}
	for _, x := range s.extents {
		if x.First <= s.mark.LSN {
			s.mark.MaxMs = max(s.mark.MaxMs, x.LastMs)
		}
	}
	s.mark.WallMs = max(s.mark.WallMs, s.mark.MaxMs)
	switch m, err := snapshot.ReadMarker(o.FS, o.Dir); {
	case err == nil:
		s.mark.WallMs = max(s.mark.WallMs, m.WallMs)
		s.mark.LSN, s.mark.Generation = max(s.mark.LSN, m.LSN), max(s.mark.Generation, m.Generation)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	clean := st.Clone()
	clear(clean.Dropped)
	clean.HighGen, clean.HighLSN = max(clean.HighGen, s.mark.Generation), max(clean.HighLSN, s.mark.LSN)
	clean.HighSegment = max(clean.HighSegment, high.Segment)
	s.mark.Manifest, err = manifest.Encode(clean)
	return s, err
}

// backup is one run.
type backup struct {
	o      *BackupOptions
	source *source
	report *BackupReport
	meter  *meter
	last   *mark // newest in the archive that can be read; nil = none
	// there are the keys of all objects of the incarnation.
	there map[string]bool
	// logged reports that the archive has what last lists of the log.
	logged bool
}

func (b *backup) run(ctx context.Context) error {
	inc := b.source.mark.Incarnation
	h, id, damage, err := openHead(ctx, b.o.Store, inc)
	if err != nil {
		return err
	}
	b.report.DamagedHead = damage
	if len(h.Condemned) > 0 { // of a backup that was interrupted
		if h, id, err = b.deleteCondemned(ctx, h, id); err != nil {
			return err
		}
	}
	if n := len(h.Marks); n > 0 {
		newest := h.Marks[n-1]
		if newest.Edit > b.source.mark.Edit || newest.LSN > b.source.mark.LSN {
			return fmt.Errorf("%w: %s is older than the newest backup of incarnation %016x: edit %d, LSN %d, the backup has edit %d, LSN %d",
				ErrBranch, b.o.Dir, inc, b.source.mark.Edit, b.source.mark.LSN, newest.Edit, newest.LSN)
		}
		b.source.mark.WallMs = max(b.source.mark.WallMs, newest.WallMs) // times of marks are a running maximum
		if err := b.readLast(ctx, h.Marks); err != nil {
			return err
		}
	}
	if err := b.look(ctx); err != nil {
		return err
	}
	if err := b.writeObjects(ctx); err != nil {
		return err
	}
	ref, err := b.writeMark(ctx)
	if err != nil {
		return err
	}
	b.report.Mark = ref
	if h, id, err = b.moveHead(ctx, h, id, ref); err != nil {
		return err
	}
	b.meter.finish()
	return b.collect(ctx, h, id)
}

// readLast reads the newest of the marks that can be read.
func (b *backup) readLast(ctx context.Context, marks []MarkRef) error {
	for _, ref := range slices.Backward(marks) {
		m, _, err := loadMark(ctx, b.o.Store, b.source.mark.Incarnation, ref)
		if isDamage(err) {
			continue // what it refers to is verified before it is used
		} else if err != nil {
			return err
		}
		b.last = m
		return b.checkBranch()
	}
	return nil
}

// look lists the objects in the archive. Some that the newest mark refers to may be gone.
func (b *backup) look(ctx context.Context) error {
	keys, err := b.o.Store.List(ctx, IncarnationID(b.source.mark.Incarnation)+"/")
	if err != nil {
		return fmt.Errorf("list the objects of the backup: %w", err)
	}
	b.there = map[string]bool{}
	for _, key := range keys {
		b.there[key] = true
	}
	b.logged = b.last != nil
	for i := 0; b.logged && i < len(b.last.Pieces); i++ {
		p := &b.last.Pieces[i]
		b.logged = p.Generation < b.source.mark.Low || b.there[pieceKey(b.last.Incarnation, p)]
	}
	return nil
}

// writeObjects writes the blocks and the pieces of the log that the archive lacks.
func (b *backup) writeObjects(ctx context.Context) error {
	inc := b.source.mark.Incarnation
	known := map[string]bool{}
	if b.last != nil {
		st, err := manifest.Decode(b.last.Manifest)
		if err != nil {
			return fmt.Errorf("MANIFEST of the newest backup: %w", err)
		}
		for _, l := range st.Blocks {
			key := blockKey(inc, l.Info)
			known[key] = b.there[key] && !slices.Contains(b.last.Missing, l.Name)
		}
	}
	var missing []manifest.Listed
	for _, l := range b.source.state.Sorted() {
		b.report.Blocks++
		b.report.BlockBytes += l.Size
		if !known[blockKey(inc, l.Info)] {
			missing = append(missing, l)
			b.meter.total += l.Size
		}
	}
	pieces := b.pieces()
	for _, p := range pieces {
		b.meter.total += p.extent.Bytes
	}
	for _, l := range missing {
		err := b.writeBlock(ctx, l)
		if err != nil && b.isDamage(err) {
			b.report.Damaged = append(b.report.Damaged, DamagedBlock{l.Name, err})
			b.source.mark.Missing = append(b.source.mark.Missing, l.Name)
			b.meter.skip(l.Size)
			continue
		}
		if err != nil {
			return err
		}
	}
	slices.Sort(b.source.mark.Missing)
	for _, p := range pieces {
		if err := b.writePiece(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// isDamage reports whether an error of writeBlock is about the block in the directory, and
// not about the directory, which may be a snapshot that has been given up, or the archive.
func (b *backup) isDamage(err error) bool {
	var damage sourceError
	if !errors.As(err, &damage) || !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EIO) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	_, _, readErr := manifest.Read(b.o.FS, b.o.Dir)
	return readErr == nil
}

// sourceError is an error about a block in the directory.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

func (b *backup) writeBlock(ctx context.Context, l manifest.Listed) error {
	key := blockKey(b.source.mark.Incarnation, l.Info)
	there, err := hasBlock(ctx, b.o.Store, key, l.Info)
	if err != nil {
		return fmt.Errorf("verify %s: %w", key, err)
	}
	if there {
		b.meter.skip(l.Size)
		return nil
	}
	id, err := put(ctx, b.o.Store, key, b.meter.through(ctx), func(out io.Writer) error { return b.copyBlock(l, out) })
	if err != nil {
		return err
	}
	b.wrote(id)
	return nil
}

// copyBlock copies the file of a block, and compares it with the MANIFEST.
func (b *backup) copyBlock(l manifest.Listed, out io.Writer) (err error) {
	f, err := b.o.FS.Open(path.Join(b.o.Dir, l.Name))
	if err != nil {
		return sourceError{err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return sourceError{err}
	}
	if size != l.Size || int64(l.FooterLen) > size {
		return sourceError{&format.DamageError{Path: l.Name, What: fmt.Sprintf("it has %d bytes, the MANIFEST lists %d", size, l.Size)}}
	}
	tail := uint32(0)
	buf := make([]byte, ioBytes)
	for off := int64(0); off < size; {
		part := buf[:min(int64(len(buf)), size-off)]
		if n, err := f.ReadAt(part, off); n < len(part) {
			return sourceError{fmt.Errorf("read %s@%d: %w", l.Name, off, cmp.Or(err, io.ErrUnexpectedEOF))}
		}
		// The CRC in the MANIFEST is that of the tail without its own CRC and the magic.
		tailFrom, tailEnd := size-int64(l.FooterLen), size-12
		lo, hi := max(off, tailFrom), min(off+int64(len(part)), tailEnd)
		if lo < hi {
			tail = encoding.ChecksumSeeded(tail, part[lo-off:hi-off])
		}
		if _, err := out.Write(part); err != nil {
			return err
		}
		off += int64(len(part))
	}
	if tail != l.CRC {
		return sourceError{&format.DamageError{Path: l.Name, Offset: size - int64(l.FooterLen), What: fmt.Sprintf("its tail has checksum %08x, the MANIFEST lists %08x", tail, l.CRC)}}
	}
	return nil
}

// newPiece is a piece that the archive lacks, if the newest mark has all that it lists.
type newPiece struct {
	extent wal.Extent
	after  uint64 // LSNs up to this one are archived
}

// pieces lists what to archive of the log, and puts into the mark what is archived
// already.
func (b *backup) pieces() (todo []newPiece) {
	m := &b.source.mark
	archived := uint64(0)
	if b.last != nil {
		archived = b.last.LSN
		for _, p := range b.last.Pieces {
			if b.logged && p.Generation >= m.Low {
				m.Pieces = append(m.Pieces, p)
			}
		}
	}
	for _, x := range b.source.extents {
		after := archived
		if !b.logged && x.Generation >= m.Low {
			after = 0
		}
		if x.First > m.LSN || x.Last <= after || b.last == nil && x.Generation < m.Low {
			continue
		}
		todo = append(todo, newPiece{extent: x, after: after})
	}
	return todo
}

func (b *backup) writePiece(ctx context.Context, n newPiece) error {
	x := n.extent
	p := piece{Segment: x.Segment, Generation: x.Generation, First: x.First, Last: x.Last, Prev: x.Prev, FirstMs: x.FirstMs, LastMs: x.LastMs}
	if n.after >= x.First {
		p.First, p.Prev = n.after+1, n.after
	}
	err := b.source.log.ReadFrames(x, n.after, x.Last, func(frames []byte) error {
		p.RawBytes += uint64(len(frames))
		p.RawCRC = encoding.ChecksumSeeded(p.RawCRC, frames)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	key := pieceKey(b.source.mark.Incarnation, &p)
	there, err := hasPiece(ctx, b.o.Store, key, &p)
	if err != nil {
		return fmt.Errorf("verify %s: %w", key, err)
	}
	if there {
		b.meter.skip(x.Bytes)
	} else {
		through := b.meter.through(ctx)
		p.Object, err = put(ctx, b.o.Store, key, nil, func(out io.Writer) error {
			w, err := newPieceWriter(out, &p)
			if err != nil {
				return err
			}
			err = b.source.log.ReadFrames(x, n.after, x.Last, func(frames []byte) error {
				return errors.Join(through(len(frames)), w.frames(frames))
			})
			return errors.Join(err, w.finish())
		})
		if err != nil {
			return err
		}
		b.wrote(p.Object)
	}
	b.source.mark.Pieces = append(b.source.mark.Pieces, p)
	return nil
}

func (b *backup) wrote(id objstore.Identity) {
	b.report.Written++
	b.report.WrittenBytes += id.Size
}

// writeMark writes the mark of the moment.
func (b *backup) writeMark(ctx context.Context) (MarkRef, error) {
	m := &b.source.mark
	slices.SortStableFunc(m.Pieces, func(x, y piece) int { return cmp.Compare(x.First, y.First) })
	if b.last != nil { // clocks may have been set back
		m.MaxMs = max(m.MaxMs, b.last.MaxMs)
	}
	ref := MarkRef{WallMs: m.WallMs, Edit: m.Edit, LSN: m.LSN}
	if b.last != nil { // if the moment is archived already, the mark is not written again
		same := b.logged && b.last.WallMs == m.WallMs && b.last.Edit == m.Edit && b.last.LSN == m.LSN
		if same && !slices.Equal(b.last.Missing, m.Missing) { // its name is taken
			m.WallMs++
			ref.WallMs, same = m.WallMs, false
		}
		if same {
			encoded := appendMark(nil, b.last)
			ref.Object = objstore.IdentityOf(int64(len(encoded)), encoded).Recorded()
			return ref, nil
		}
	}
	encoded := appendMark(nil, m)
	id, err := put(ctx, b.o.Store, markKey(m.Incarnation, ref), nil, func(out io.Writer) error {
		_, err := out.Write(encoded)
		return err
	})
	if err != nil {
		return ref, err
	}
	b.wrote(id)
	ref.Object = id.Recorded()
	return ref, nil
}
