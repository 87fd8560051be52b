package objstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"tsdb/internal/vfs"
)

// ErrBusy is returned by PutIf while another process replaces an object.
var ErrBusy = errors.New("another process replaces the object")

// Conditional is a Store with objects that are replaced by compare-and-swap, such as the
// head of an archive. They are small, and their formats end in checksums that cover
// everything before, so that equal identities mean equal objects.
type Conditional interface {
	Store
	// PutIf makes data the durable object of key if the object that is there has the
	// identity expected, or if there is none and expected is zero. Otherwise the
	// error is a ConflictError with the identity of the object that is there, zero for
	// none. After any other error the object may have been replaced or not.
	PutIf(ctx context.Context, key string, data []byte, expected Identity) (Identity, error)
}

var _ Conditional = (*Dir)(nil)

// lockName is the file by which PutIf keeps other processes out of a directory.
const lockName = "LOCK"

// PutIf implements Conditional: it locks the directory of the object, compares, and
// renames a new file over the old one.
func (d *Dir) PutIf(ctx context.Context, key string, data []byte, expected Identity) (id Identity, err error) {
	if err := errors.Join(ctx.Err(), checkNewKey(key)); err != nil {
		return Identity{}, err
	}
	name := d.path(key)
	if err := d.fs.MkdirAll(path.Dir(name)); err != nil {
		return Identity{}, fmt.Errorf("put %s: %w", key, err)
	}
	lock, err := d.fs.Lock(path.Join(path.Dir(name), lockName), "an update of "+path.Base(key))
	if errors.Is(err, vfs.ErrLocked) {
		return Identity{}, fmt.Errorf("put %s: %w: %w", key, ErrBusy, err)
	} else if err != nil {
		return Identity{}, fmt.Errorf("put %s: %w", key, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	mine := IdentityOf(int64(len(data)), data)
	existing, err := d.Head(ctx, key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Identity{}, fmt.Errorf("put %s: %w", key, err)
	}
	if existing != expected {
		return Identity{}, &ConflictError{Key: key, Existing: existing, Mine: mine}
	}
	f, temp, err := vfs.CreateTemp(d.fs, name, TempSuffix)
	if err != nil {
		return Identity{}, fmt.Errorf("put %s: %w", key, err)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.fs.Rename(temp, name)
	}
	if err != nil {
		return Identity{}, errors.Join(fmt.Errorf("put %s: %w", key, err), d.fs.Remove(temp))
	}
	if err := d.syncDirs(key); err != nil {
		return Identity{}, fmt.Errorf("put %s: %w", key, err)
	}
	return mine, nil
}
