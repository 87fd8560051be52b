package vfs

import (
	"errors"
	"io"
	"strings"
	"unicode"
)

// Errors of locks.
var (
	// ErrLocked is returned by FS.Lock when another holder has the lock. The
	// error is a LockedError.
	ErrLocked = errors.New("already locked")
	// ErrLockLost is returned by Lock.Check when another process may hold the
	// lock by now: the file or its directory has been removed or replaced.
	ErrLockLost = errors.New("the lock is lost")
)

// Lock is a directory that is locked. It is safe for concurrent use.
type Lock interface {
	// Close releases the lock; a second Close does nothing.
	io.Closer
	// Check verifies that no other process can hold the lock. Where the directory
	// itself is locked, a file that was removed is put back; otherwise that is
	// ErrLockLost, as is a directory that was replaced. An error of the file
	// system proves nothing and is not returned.
	Check() (restored bool, err error)
	// Certain reports whether no other process could hold the lock when it was
	// taken. It is false where directories cannot be locked and the file was
	// missing: another process may still hold the lock on a removed file,
	// which its Check detects.
	Certain() bool
}

// LockedError is the error of FS.Lock on a lock that is taken.
type LockedError struct {
	Name   string
	Holder string // holder named in the file; empty if there is none
}

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return "lock " + e.Name + ": " + ErrLocked.Error()
	}
	return "lock " + e.Name + ": " + ErrLocked.Error() + " by " + e.Holder
}

func (e *LockedError) Unwrap() error { return ErrLocked }

// maxHolderBytes bounds the bytes read of a lock's file.
const maxHolderBytes = 512

// holderText turns the content of a lock's file, which may be anything, into one
// printable line.
func holderText(b []byte) string {
	line, _, _ := strings.Cut(string(b[:min(len(b), maxHolderBytes)]), "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line))
}
