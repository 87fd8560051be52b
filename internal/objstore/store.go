package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

const (
	// MaxKeyBytes bounds a key, as S3 does.
	MaxKeyBytes = 1024
	// TempSuffix ends the keys under which a Dir shows unfinished objects. None
	// can be created.
	TempSuffix = ".tmp"
	// LostFound is the first element of what SetAside returns. No key begins
	// with it.
	LostFound = "lost+found"
)

// Store holds immutable objects. A missing object gives an error for which
// errors.Is(err, fs.ErrNotExist) holds. All methods are safe for concurrent use.
type Store interface {
	// Create begins an object. It does not fail because the key is taken:
	// Commit finds out.
	Create(ctx context.Context, key string) (Writer, error)
	// Open opens an object for reading. The caller closes it.
	Open(ctx context.Context, key string) (Object, error)
	// Head returns the identity of an object. ErrUnreadable means that there is
	// an object, whose identity cannot be read.
	Head(ctx context.Context, key string) (Identity, error)
	// List returns, sorted, the keys that begin with prefix, which is empty or
	// ends in a slash. Unfinished objects may be among them.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete deletes objects durably. It returns nil if all are gone and
	// otherwise an error for each key, nil for those that are. A missing object
	// is gone; an object that cannot be deleted keeps none of the others.
	Delete(ctx context.Context, keys ...string) []error
	// SetAside moves an object durably to where neither List nor Delete finds it
	// and returns its new place, for a person to look for.
	SetAside(ctx context.Context, key string) (place string, err error)
	// Grace returns how long an object that this process no longer refers to
	// must stay, because another process may still read it.
	Grace() time.Duration
}

// Writer writes one object front to back. It is not safe for concurrent use. It
// ends with a Commit that succeeds or with Abort.
type Writer interface {
	// Write appends p and keeps no reference to it. After an error every call
	// returns that error.
	io.Writer
	// Commit makes the object durable under its key and returns its identity. An
	// identical object that has the key already is success, a different one a
	// ConflictError. After any other error the object may be there or not.
	Commit(ctx context.Context) (Identity, error)
	// Abort discards the object, also after a Commit that failed. It never
	// removes an object that another Writer committed. After a Commit that
	// succeeded it does nothing.
	Abort() error
}

// Object is an open object. It is safe for concurrent use; Close must come last.
type Object interface {
	// Size returns the size in bytes.
	Size() int64
	// ReadAt fills p from offset off on. It is ReadRanges of one range without
	// its bookkeeping; an object that ends too early is a ShortError.
	ReadAt(ctx context.Context, p []byte, off int64) error
	// ReadRanges fills the ranges, which may be in any order, with as few reads
	// as pay, several at a time. It sets Err of each range and returns the first
	// of these errors; one that fails costs no other.
	ReadRanges(ctx context.Context, ranges []Range) error
	// Close releases the object.
	Close() error
}

// Streamer is an Object for which one long read costs less than many short ones.
type Streamer interface {
	// NewReader reads the object front to back. The caller closes the reader before
	// the object; ctx ends its reads.
	NewReader(ctx context.Context) io.ReadCloser
}

// Uploads is a Store in which an interrupted process leaves parts of objects that no List
// shows.
type Uploads interface {
	// AbortUploads discards the parts of objects under prefix whose upload began
	// before a time, and returns the number of these objects.
	AbortUploads(ctx context.Context, prefix string, before time.Time) (int, error)
}

// Range is a part of an object to read.
type Range struct {
	Offset int64
	Data   []byte // the caller's; filled up to its length
	Err    error  // set by ReadRanges
}

// Errors of stores.
var (
	// ErrKey is returned for a key that CheckKey refuses.
	ErrKey = errors.New("invalid key")
	// ErrConflict is what errors.Is finds in a ConflictError.
	ErrConflict = errors.New("a different object has the key")
	// ErrUnreadable is returned by Head for an object whose identity cannot be
	// read.
	ErrUnreadable = errors.New("object is there but cannot be read")
	// ErrDone is returned by Write and Commit after Commit or Abort.
	ErrDone = errors.New("object is already committed or aborted")
)

// ConflictError is the error of a Commit that found a different object.
type ConflictError struct {
	Key            string
	Existing, Mine Identity
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("commit %s: %v: %v, not %v", e.Key, ErrConflict, e.Existing, e.Mine)
}

// Is reports ErrConflict as the class of the error.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// ShortError is the error of a read that goes past the end of the object.
type ShortError struct {
	Key       string
	Offset    int64
	Read, Len int // bytes before the end, bytes asked for
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("read %s@%d: object ends after %d of %d bytes", e.Key, e.Offset, e.Read, e.Len)
}

// Unwrap returns io.ErrUnexpectedEOF, the class of the error.
func (e *ShortError) Unwrap() error { return io.ErrUnexpectedEOF }

// CheckKey returns an error unless key can be that of an object: slash-separated
// elements, none empty, "." or "..", of which the last has an extension and no
// other has, so that a directory can tell its objects from its directories.
func CheckKey(key string) error {
	dir, base := path.Split(key)
	switch {
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("%w: %d bytes exceed the limit of %d", ErrKey, len(key), MaxKeyBytes)
	case !fs.ValidPath(key) || strings.ContainsAny(key, "\\\x00"):
		return fmt.Errorf("%w %q: not a relative slash-separated path", ErrKey, key)
	case !isObjectName(base) || strings.Contains(dir, "."):
		return fmt.Errorf("%w %q: the last element must have an extension, and no other may", ErrKey, key)
	case key == LostFound || strings.HasPrefix(key, LostFound+"/"):
		return fmt.Errorf("%w %q: %s is reserved", ErrKey, key, LostFound)
	}
	return nil
}

// checkNewKey is CheckKey for Create.
func checkNewKey(key string) error {
	if strings.HasSuffix(key, TempSuffix) {
		return fmt.Errorf("%w %q: %s is reserved for unfinished objects", ErrKey, key, TempSuffix)
	}
	return CheckKey(key)
}

// isObjectName reports whether the last element of a path is that of an object.
func isObjectName(base string) bool { return strings.LastIndexByte(base, '.') > 0 }
