// Package vfs separates the storage code from the machine: it has a small
// file system interface with an operating-system, an in-memory crashable and a
// fault-injecting version, and a clock.
package vfs

import (
	"io"
	"time"
)

// FS is the file system interface of the storage code. Names are slash-separated
// paths; missing files give errors for which errors.Is(err, fs.ErrNotExist)
// holds, a full disk errors.Is(err, syscall.ENOSPC). All methods are safe for
// concurrent use.
type FS interface {
	// Create makes a new empty file for reading and writing and fails with
	// fs.ErrExist if the name is taken. The name is durable only after
	// SyncDir of its directory, the content only after File.Sync.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing.
	OpenReadWrite(name string) (File, error)
	// Remove deletes a file or an empty directory.
	Remove(name string) error
	// Rename gives a file another name in one atomic step, replacing a file
	// that had it. It is durable only after SyncDir of both directories.
	Rename(oldName, newName string) error
	// Link gives a file a second name.
	Link(oldName, newName string) error
	// MkdirAll makes a directory and the missing ones above it.
	MkdirAll(dir string) error
	// List returns the names in a directory, sorted, without the directory.
	List(dir string) ([]string, error)
	// Stat describes a file or directory.
	Stat(name string) (Info, error)
	// SyncDir makes creations, renames and removals in a directory durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a directory, by the file with the given
	// name in it and, where that is possible, on the directory itself, until
	// the lock is closed or the process ends. The file is made if missing and
	// says who owner is; with an empty owner it is neither made nor changed.
	// Lock does not wait: a taken lock is ErrLocked.
	Lock(name, owner string) (Lock, error)
	// FreeBytes returns the number of bytes that can still be written to the file
	// system that holds dir.
	FreeBytes(dir string) (uint64, error)
	// TotalBytes returns the size of the file system that holds dir.
	TotalBytes(dir string) (uint64, error)
}

// File is an open file. ReadAt and WriteAt may be called concurrently on
// ranges that do not overlap; WriteAt past the end makes the file longer.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes content and size durable (fdatasync). After a failed Sync
	// nothing is known about what was written since the last good one, and
	// a further Sync proves nothing.
	Sync() error
	// Truncate changes the size.
	Truncate(size int64) error
	// Size returns the size in bytes.
	Size() (int64, error)
	// Name returns the name the file was opened with.
	Name() string
}

// Info describes a file.
type Info struct {
	Size    int64
	IsDir   bool
	Links   int // names the file has; not meaningful for directories
	ModTime time.Time
}

// Clock tells the time to code that must be testable without waiting.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// After sends the time once d has passed.
	After(d time.Duration) <-chan time.Time
}
