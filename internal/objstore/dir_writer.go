package objstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"tsdb/internal/vfs"
)

const (
	writeBytes = 256 << 10 // written in one call
	syncBytes  = 16 << 20  // synced in one call, so that the last sync is short
)

// dirWriter writes a file front to back: in place, or, if the name is taken,
// beside it.
type dirWriter struct {
	dir  *Dir
	key  string
	temp string // path of the file if it is not written in place
	f    vfs.File

	buf    []byte // not written yet
	off    int64  // of the next byte, buffered ones included
	synced int64  // bytes written and synced
	tail   Tail
	err    error
	closed bool // f is
	done   bool // committed or aborted
}

// Create implements Store.
func (d *Dir) Create(ctx context.Context, key string) (Writer, error) {
	if err := errors.Join(ctx.Err(), checkNewKey(key)); err != nil {
		return nil, err
	}
	if err := d.fs.MkdirAll(path.Dir(d.path(key))); err != nil {
		return nil, err
	}
	w := &dirWriter{dir: d, key: key}
	err := fs.ErrExist
	number, claimed := d.claim(w)
	if claimed {
		if w.f, err = d.fs.Create(d.path(key)); err != nil {
			d.disclaim(w)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		w.f, w.temp, err = vfs.CreateTemp(d.fs, fmt.Sprintf("%s.%d", d.path(key), number), TempSuffix)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// claim gives the name of a key to w, unless another writer has it, and returns
// a number that no other writer has.
func (d *Dir) claim(w *dirWriter) (number int, claimed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.writers++
	if claimed = d.mu.claims[w.key] == nil; claimed {
		d.mu.claims[w.key] = w
	}
	return d.mu.writers, claimed
}

// disclaim ends the claim of w and reports whether it had one.
func (d *Dir) disclaim(w *dirWriter) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.disclaimLocked(w)
}

func (d *Dir) disclaimLocked(w *dirWriter) bool {
	if d.mu.claims[w.key] != w {
		return false
	}
	delete(d.mu.claims, w.key)
	return true
}

// Write implements Writer.
func (w *dirWriter) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("write %s: %w", w.key, ErrDone)
	}
	if len(w.buf)+len(p) > writeBytes {
		w.flush()
	}
	if len(p) > writeBytes {
		w.writeAt(p, w.off)
	} else {
		w.buf = append(w.buf, p...)
	}
	w.off += int64(len(p))
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// flush writes the buffer.
func (w *dirWriter) flush() {
	w.writeAt(w.buf, w.off-int64(len(w.buf)))
	w.buf = w.buf[:0]
}

func (w *dirWriter) writeAt(p []byte, off int64) {
	if w.err != nil || len(p) == 0 {
		return
	}
	if _, err := w.f.WriteAt(p, off); err != nil {
		w.err = fmt.Errorf("write %s@%d: %w", w.key, off, err)
		return
	}
	w.tail.Write(p)
	if end := off + int64(len(p)); end-w.synced >= syncBytes {
		w.sync(end)
	}
}

func (w *dirWriter) sync(end int64) {
	if w.err != nil {
		return
	}
	if err := w.f.Sync(); err != nil {
		w.err = fmt.Errorf("sync %s: %w", w.key, err)
		return
	}
	w.synced = end
}

// Commit implements Writer.
func (w *dirWriter) Commit(ctx context.Context) (Identity, error) {
	if w.done {
		return Identity{}, fmt.Errorf("commit %s: %w", w.key, ErrDone)
	}
	if err := ctx.Err(); err != nil {
		return Identity{}, err
	}
	w.flush()
	w.sync(w.off)
	if w.err == nil {
		w.err = w.close()
	}
	if w.err != nil {
		return Identity{}, w.err
	}
	mine := w.tail.Identity(w.off)
	if w.temp != "" {
		if err := w.dir.rename(ctx, w, mine); err != nil {
			return Identity{}, err
		}
	}
	if err := w.dir.syncDirs(w.key); err != nil {
		return Identity{}, err
	}
	if !w.dir.disclaim(w) {
		if err := w.dir.adopt(ctx, w.key, mine); err != nil {
			return Identity{}, err
		}
	}
	w.done = true
	return mine, nil
}

func (w *dirWriter) close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	if err := w.f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", w.key, err)
	}
	return nil
}

// rename gives the file of w its final name unless a different object has it. An
// identical object is replaced too: its writer may have died before it was
// durable. A file that is still being written is not an object yet; its writer
// loses the claim and finds ours when it commits.
func (d *Dir) rename(ctx context.Context, w *dirWriter, mine Identity) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := d.mu.claims[w.key] != nil
	if !free {
		err := d.compare(ctx, w.key, mine)
		if free = errors.Is(err, fs.ErrNotExist); err != nil && !free {
			return err
		}
	}
	if err := d.fs.Rename(w.temp, d.path(w.key)); err != nil {
		return fmt.Errorf("commit %s: %w", w.key, err)
	}
	w.temp = ""
	if free {
		d.mu.claims[w.key] = w
	}
	return nil
}

// adopt makes the object that has a key that of a writer which has no claim, if
// it is identical. No writer that has not committed may remove it any more.
func (d *Dir) adopt(ctx context.Context, key string, mine Identity) error {
	d.mu.Lock()
	err := d.compare(ctx, key, mine)
	if err == nil {
		delete(d.mu.claims, key)
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return d.syncDirs(key)
}

// compare returns an error unless the object of a key is identical to one that
// is to be committed.
func (d *Dir) compare(ctx context.Context, key string, mine Identity) error {
	existing, err := d.Head(ctx, key)
	if err != nil {
		return fmt.Errorf("commit %s: %w", key, err)
	}
	if existing != mine {
		return &ConflictError{Key: key, Existing: existing, Mine: mine}
	}
	return nil
}

// syncDirs makes the name of a file durable, and those of the directories that
// lead to it.
func (d *Dir) syncDirs(key string) error {
	for dir := path.Dir(key); ; dir = path.Dir(dir) {
		if err := d.fs.SyncDir(d.path(dir)); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
		if dir == "." {
			return nil
		}
	}
}

// Abort implements Writer.
func (w *dirWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	_ = w.close() // the file goes; its content does not matter
	d := w.dir
	d.mu.Lock()
	defer d.mu.Unlock()
	name := w.temp
	if d.disclaimLocked(w) {
		name = d.path(w.key)
	}
	if name == "" {
		return nil
	}
	if err := d.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("abort %s: %w", w.key, err)
	}
	return nil
}
