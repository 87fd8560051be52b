package datadir

import (
	"errors"
	iofs "io/fs"
	"path"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/log"
	"tsdb/storage/wal"
)

// ErrLogLost is returned by Open when segments of the log are missing, or
// shorter than they were known to be on disk, and the MANIFEST still needs
// them: samples that were acknowledged are gone. Put back, or accepted with
// doctor.AcceptLogLoss, the database opens again.
var ErrLogLost = errors.New("the log has lost acknowledged samples")

// LogLossError is the error of Open on a log that has lost samples. It is an
// ErrLogLost.
type LogLossError struct {
	Token string // names this loss, for doctor.AcceptLogLoss
	Loss  *log.Loss
}

func (e *LogLossError) Error() string { return e.Loss.Error() }
func (e *LogLossError) Unwrap() error { return ErrLogLost }

// LogLoss returns the missing segments of the log that the MANIFEST still needs,
// nil if there are none.
func LogLoss(fs vfs.FS, dir string, rec log.Recovery) (*LogLossError, error) {
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
	return &LogLossError{Token: loss.Token(), Loss: loss}, nil
}

// ScanLog reads the write-ahead log of a data directory and changes nothing.
func ScanLog(fs vfs.FS, dir string) (*wal.Recovery, error) {
	return wal.Scan(fs, path.Join(dir, format.WALDir), LogOptions(dir))
}

// LogOptions returns the options of a log that is only read.
func LogOptions(dir string) wal.Options {
	return wal.Options{ListName: path.Join(dir, format.SegmentsName)}
}
