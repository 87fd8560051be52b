package doctor

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"tsdb/internal/vfs"
	"tsdb/partition/manifest"
	"tsdb/storage/datadir"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

// Errors of AcceptLogLoss.
var (
	// ErrLossToken is returned by AcceptLogLoss for a token that does not name
	// the loss there is.
	ErrLossToken = errors.New("the token does not name this loss")
	// ErrNoLogLoss is returned by AcceptLogLoss when nothing is lost.
	ErrNoLogLoss = errors.New("nothing to accept: the log holds all that is known to have been on disk")
)

// AcceptLogLoss lets the database in dir, which no process may have open, begin
// anew without the samples that its log has lost. token is that of the error
// with which Open refused, and accepts that loss only, once: the MANIFEST says
// so from now on, and gets a new incarnation.
func AcceptLogLoss(ctx context.Context, fs vfs.FS, dir, token string, clock vfs.Clock) (manifest.Incarnation, error) {
	unlock, err := datadir.Lock(fs, dir, repairOwner)
	if err != nil {
		return manifest.Incarnation{}, err
	}
	defer unlock()
	rec, err := datadir.ScanLog(fs, dir)
	if err != nil {
		return manifest.Incarnation{}, err
	}
	lost, err := datadir.LogLoss(fs, dir, rec)
	switch {
	case err != nil:
		return manifest.Incarnation{}, err
	case lost == nil:
		return manifest.Incarnation{}, ErrNoLogLoss
	case subtle.ConstantTimeCompare([]byte(token), []byte(lost.Token)) != 1:
		return manifest.Incarnation{}, fmt.Errorf("%w: %w; its token is %s", ErrLossToken, lost.Loss, lost.Token)
	case ctx.Err() != nil:
		return manifest.Incarnation{}, ctx.Err()
	}
	next, err := recordLoss(fs, dir, rec, lost.Loss, clock.Now())
	if err != nil {
		return manifest.Incarnation{}, err
	}
	// Stopped before this, the database still refuses, and the same token
	// accepts again.
	return next, rec.AcceptLoss()
}

// recordLoss makes the edit that accepts a loss. It keeps the numbers of lost frames
// from being used again.
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
