package log

import (
	"context"
	"errors"
)

// Log is a log open for appending. Its methods are safe for concurrent use, except
// that Rotate must not run concurrently with Append, and no method with Close.
type Log interface {
	// MaxPayload returns the largest payload Append accepts.
	MaxPayload() int
	// MaxReserve returns the largest number of bytes Reserve can grant at once.
	MaxReserve() int

	// Reserve guarantees room for frames of n bytes in total (the sum of
	// FrameBytes). Callers must not hold locks, since it waits for a bounded time.
	// Then it fails with ErrBusy or ErrNoSpace; both conditions end by themselves.
	// If n exceeds MaxReserve the error is ErrTooLarge.
	Reserve(ctx context.Context, n int) error
	// Unreserve releases n bytes that were reserved and not appended.
	Unreserve(n int)
	// ReserveDelete is Reserve for the frames of one deletion, and may use
	// room that is kept for them. Only one delete at a time has a reservation,
	// others wait; done ends the reservation and releases the bytes that were not
	// appended.
	ReserveDelete(ctx context.Context, n int) (done func(), err error)

	// Append adds a frame and returns its LSN. It copies payload, takes the bytes
	// from the caller's reservation (for one of a deletion, that of ReserveDelete), never
	// blocks and does no I/O. On a poisoned log the frame is discarded and Wait
	// returns the error. It panics if the bytes were not reserved.
	Append(shard int, tenant uint32, t FrameType, payload []byte) (lsn uint64)
	// LastLSN returns the LSN of the last frame appended.
	LastLSN() uint64
	// Wait returns when the frame with the LSN, and so all before it, count as
	// written. It fails with ErrPoisoned if they never will be, and with ctx's
	// error, after which their state is unknown.
	Wait(ctx context.Context, lsn uint64) error

	// Generation returns the number of the generation that frames are appended to.
	Generation() uint64
	// GenerationEmpty reports whether no frame of a client has been appended in
	// the running generation.
	GenerationEmpty() bool
	// PrepareRotate returns when a rotation can take place at once. It waits at
	// most as long as Reserve and fails with the same errors.
	PrepareRotate(ctx context.Context) error
	// Rotate ends the running generation. It returns the number of the new one and
	// the LSN of the last frame of the old one: the caller keeps Append out while
	// it runs, so that this LSN splits the log. It does no I/O and does not wait:
	// without a PrepareRotate before it may fail with ErrBusy.
	Rotate() (gen, lastLSN uint64, err error)
	// RotateReserve is Rotate, but leaves out a generation number, which no frame will
	// ever have: that of a block that is not made from the log.
	RotateReserve() (reserved, gen uint64, err error)

	// NoteEdit tells the log the number of a manifest edit that has become durable.
	// Frames written from now on record it.
	NoteEdit(edit uint64)
	// Release says that generations below belowGen are no longer needed, since the
	// manifest edit with the given number, which is durable. After an error it can
	// be called again.
	Release(belowGen, edit uint64) error

	// Bytes returns the bytes of all frames and of those appended in the running
	// generation.
	Bytes() (total, activeGen int64)
	// BytesFrom returns the bytes of frames of generation gen and later ones.
	BytesFrom(gen uint64) int64

	// Err returns the error that poisoned the log, wrapped in ErrPoisoned, or nil.
	Err() error
	// Fail poisons the log, with err as the cause, before the next write: waiters
	// for frames that are not yet written get an error.
	Fail(err error)
	// Close makes the frames appended durable and ends the log's goroutines. A
	// poisoned log is closed without writing. A second Close does nothing.
	Close() error

	Files
}

// Files is the part of a log in the care for disk space. A log without files of
// its own embeds NoFiles.
type Files interface {
	// SetShort tells the log whether free disk space is short. While it is, the log
	// makes no new files as long as it can do without.
	SetShort(short bool)
	// PooledBytes returns the bytes of the files that DropPool removes.
	PooledBytes() int64
	// DropPool removes released files that are kept for reuse and not wanted.
	DropPool() error
	// KeptBytes returns the bytes of released files that are kept for backups.
	KeptBytes() int64
	// CutFrees returns by how many bytes the log's files shrink when everything
	// before a rotation now is released.
	CutFrees() int64
	// List returns the state of the list of segments.
	List() ListStatus
	// Image makes the frames up to an LSN that has been appended durable and returns
	// them as an image, to copy them. Nothing is released until it is closed.
	Image(lsn uint64) (Image, error)
}

// Image is a log as it is at one position. It is not safe for concurrent use.
type Image interface {
	// Pos returns the position: the LSN of the last frame, and the highest
	// generation and segment that were ever used.
	Pos() Pos
	// CopyTo makes a log in the directory dir, which is empty, with all frames of
	// generation low and above up to the position, and the file listName with the list
	// of its segments. Files that are complete are linked where that is possible. It
	// returns the number of bytes written.
	CopyTo(low uint64, dir, listName string) (written int64, err error)
	// Close ends the image; a second Close does nothing.
	Close()
}

// ListStatus is the state of the writes of the list of segments.
type ListStatus struct {
	Err      error  // error of the last write, nil if it succeeded
	Failures uint64 // writes that failed
}

// NoFiles is Files of a log without any.
type NoFiles struct{}

func (NoFiles) SetShort(bool)      {}
func (NoFiles) PooledBytes() int64 { return 0 }
func (NoFiles) DropPool() error    { return nil }
func (NoFiles) KeptBytes() int64   { return 0 }
func (NoFiles) CutFrees() int64    { return 0 }
func (NoFiles) List() ListStatus   { return ListStatus{} }

// Image returns an error.
func (NoFiles) Image(uint64) (Image, error) { return nil, errors.New("the log is not kept in files") }
