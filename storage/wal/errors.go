package wal

import "errors"

// ErrVersion is returned when a segment was written by a version of the program
// that this one does not know.
var ErrVersion = errors.New("unknown version of the log")
