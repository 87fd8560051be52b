package log

import (
	"errors"
	"fmt"
)

// Errors of a log that is open. All but ErrPoisoned, ErrTooLarge and ErrClosed
// go away by themselves.
var (
	// ErrPoisoned is returned by everything that writes after a write or a sync
	// of appended frames has failed: memory is ahead of the log, and only a
	// restart, which replays the durable frames, makes them agree again.
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

// ErrCorrupt is returned when bytes read from a log cannot have been written by it.
var ErrCorrupt = errors.New("corrupt log")

// Corruptf returns an ErrCorrupt with a formatted text.
func Corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
