package storage

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"time"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

// Errors about a log that has lost what it held.
var (
	// ErrLogLost is returned by Open when segments of the log are missing, or
	// shorter than they were known to be on disk, and the MANIFEST still needs
	// them: samples that were acknowledged are gone. Put back, or accepted with
	// AcceptLogLoss, the database opens again.
	ErrLogLost = errors.New("the log has lost acknowledged samples")
	// ErrLossToken is returned by AcceptLogLoss for a token that does not name
	// the loss there is.
	ErrLossToken = errors.New("the token does not name this loss")
	// ErrNoLogLoss is returned by AcceptLogLoss when nothing is lost.
	ErrNoLogLoss = errors.New("nothing to accept: the log holds all that is known to have been on disk")
)

// LogLossError is the error of Open on a log that has lost samples. It is an
// ErrLogLost.
type LogLossError struct {
	Token string // what AcceptLogLoss wants
	loss  *log.Loss
}

func (e *LogLossError) Error() string { return e.loss.Error() }
func (e *LogLossError) Unwrap() error { return ErrLogLost }

// logLoss returns what is missing of the log that the MANIFEST still needs, nil
// if nothing is.
func logLoss(fs vfs.FS, dir string, rec log.Recovery) (*LogLossError, error) {
	loss := rec.Loss(0)
	if loss == nil {
		return nil, nil
	}
	// The MANIFEST knows of segments that were released without having left
	// the list of segments.
	st, _, err := manifest.Read(fs, dir)
	if err == nil {
		loss = rec.Loss(st.WALLow)
	} else if !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	if loss == nil {
		return nil, nil
	}
	return &LogLossError{Token: loss.Token(), loss: loss}, nil
}

// AcceptLogLoss lets the database in dir, which no process may have open, begin
// anew without the samples that its log has lost. token is that of the error
// with which Open refused, and accepts that loss only, once: the MANIFEST says
// so from now on, and gets a new incarnation.
func AcceptLogLoss(ctx context.Context, fs vfs.FS, dir, token string, clock vfs.Clock) (manifest.Incarnation, error) {
	unlock, err := lockAs(fs, dir, "tsdb repair")
	if err != nil {
		return manifest.Incarnation{}, err
	}
	defer unlock()
	rec, err := wal.Scan(fs, path.Join(dir, format.WALDir), scanOptions(dir))
	if err != nil {
		return manifest.Incarnation{}, err
	}
	lost, err := logLoss(fs, dir, rec)
	switch {
	case err != nil:
		return manifest.Incarnation{}, err
	case lost == nil:
		return manifest.Incarnation{}, ErrNoLogLoss
	case subtle.ConstantTimeCompare([]byte(token), []byte(lost.Token)) != 1:
		return manifest.Incarnation{}, fmt.Errorf("%w: %w; its token is %s", ErrLossToken, lost.loss, lost.Token)
	case ctx.Err() != nil:
		return manifest.Incarnation{}, ctx.Err()
	}
	next, err := recordLoss(fs, dir, rec, lost.loss, clock.Now())
	if err != nil {
		return manifest.Incarnation{}, err
	}
	// Stopped before this, the database still refuses, and the same token
	// accepts again.
	return next, rec.AcceptLoss()
}

// recordLoss makes the edit that accepts a loss. No number of what is lost is
// given out again.
func recordLoss(fs vfs.FS, dir string, rec *wal.Recovery, loss *log.Loss, now time.Time) (manifest.Incarnation, error) {
	m, err := manifest.Open(fs, dir, rec.Report().Edit)
	if err != nil {
		return manifest.Incarnation{}, err
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	next := manifest.Incarnation{
		ID: binary.LittleEndian.Uint64(id[:]), Losses: m.State().Incarnation.Losses + 1,
		AcceptedMs: now.UnixMilli(), FromMs: loss.FromMs, ToMs: loss.ToMs,
	}
	high := rec.Highest()
	_, err = m.Apply(manifest.Edit{
		WallMs: now.UnixMilli(), Incarnation: &next,
		HighGen: high.Generation, HighLSN: high.LSN, HighSegment: high.Segment,
	})
	return next, errors.Join(err, m.Close())
}

// scanOptions are the options of a scan of the log in a data directory.
func scanOptions(dir string) wal.Options {
	return wal.Options{ListName: path.Join(dir, format.SegmentsName)}
}
