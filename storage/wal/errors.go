package wal

import (
	"errors"
	"fmt"
)

// Errors of a log that is open. All but ErrPoisoned, ErrTooLarge and ErrClosed
// go away by themselves.
var (
	// ErrPoisoned is returned by everything that writes after a write or a sync
	// of appended frames has failed: memory is ahead of the log, and only a
	// restart, which replays the frames on disk, makes them agree again.
	ErrPoisoned = errors.New("log is poisoned")
	// ErrBusy is returned when the log cannot accept more frames at the moment.
	ErrBusy = errors.New("log is busy")
	// ErrNoSpace is returned when the disk has no room for another segment.
	ErrNoSpace = errors.New("no space for the log")
	// ErrTooLarge is returned when a reservation can never be granted.
	ErrTooLarge = errors.New("too large for the log")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("log is closed")
)

// Errors of reading.
var (
	// ErrCorrupt is returned when bytes cannot have been written by this package.
	ErrCorrupt = errors.New("corrupt log")
	// ErrVersion is returned when a segment was written by a version of the
	// program that this one does not know.
	ErrVersion = errors.New("unknown version of the log")
)

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
