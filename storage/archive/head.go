package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"tsdb/internal/objstore"
)

// headTries bounds how often a backup repeats a change of the head that another backup
// has changed meanwhile.
const headTries = 5

// putHead replaces the head.
func (b *backup) putHead(ctx context.Context, h *head, expected objstore.Identity) (objstore.Identity, error) {
	h.Changes++
	id, err := b.o.Store.PutIf(ctx, headKey(h.Incarnation), appendHead(nil, h), expected)
	if err != nil {
		return id, fmt.Errorf("move the head of the backup: %w", err)
	}
	return id, nil
}

// moveHead lists the mark in the head and drops marks that are too old.
func (b *backup) moveHead(ctx context.Context, h *head, id objstore.Identity, ref MarkRef) (*head, objstore.Identity, error) {
	for try := 1; ; try++ {
		if len(h.Condemned) > 0 {
			return nil, id, errors.New("another backup is deleting objects of this archive: repeat the backup when it has ended")
		}
		// A damaged mark of the same moment had the key of this one.
		h.Marks = slices.DeleteFunc(h.Marks, func(m MarkRef) bool { return compareMarks(m, ref) == 0 })
		h.Marks = append(h.Marks, ref)
		dropped := b.dropMarks(h)
		next, err := b.putHead(ctx, h, id)
		if err == nil {
			b.report.DroppedMarks = dropped
			return h, next, nil
		}
		if !errors.Is(err, objstore.ErrConflict) {
			return nil, id, err
		}
		if try == headTries {
			return nil, id, fmt.Errorf("other backups of incarnation %s run at the same time: repeat this one when they have ended: %w", IncarnationID(b.source.mark.Incarnation), err)
		}
		if h, id, _, err = openHead(ctx, b.o.Store, b.source.mark.Incarnation); err != nil {
			return nil, id, err
		}
		// That head was read before: if an object goes later, it has changed.
		if err := b.checkObjects(ctx, ref); err != nil {
			return nil, id, err
		}
	}
}

// checkObjects returns an error if an object of the mark that is to be listed is gone.
// Until then no mark refers to what is new in it, so that to another backup, if this one
// takes longer than the grace, it is something that nothing needs.
func (b *backup) checkObjects(ctx context.Context, ref MarkRef) error {
	m := &b.source.mark
	need := []string{markKey(m.Incarnation, ref)}
	for _, l := range b.source.state.Sorted() {
		if !slices.Contains(m.Missing, l.Name) {
			need = append(need, blockKey(m.Incarnation, l.Info))
		}
	}
	for i := range m.Pieces {
		need = append(need, pieceKey(m.Incarnation, &m.Pieces[i]))
	}
	for _, key := range need { // a list may lag behind
		switch _, err := b.o.Store.Head(ctx, key); {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("another backup has deleted %s, to which none had referred for %v: repeat this one, with a --grace longer than a backup takes", key, b.o.Grace)
		case err != nil:
			return fmt.Errorf("look for %s: %w", key, err)
		}
	}
	return nil
}

// dropMarks removes the marks older than BackupOptions.Keep, except the newest.
func (b *backup) dropMarks(h *head) int {
	slices.SortFunc(h.Marks, compareMarks)
	if b.o.Keep <= 0 {
		return 0
	}
	before := b.o.Clock.Now().Add(-b.o.Keep).UnixMilli()
	old := h.Marks[:len(h.Marks)-1]
	n := 0
	for n < len(old) && old[n].WallMs < before {
		n++
	}
	h.Marks = slices.Delete(h.Marks, 0, n)
	return n
}

// collect deletes objects that no mark has referred to for the grace, and notes those
// that are so from now on. Marks that cannot be read are taken off the list: nothing can be
// restored from them.
func (b *backup) collect(ctx context.Context, h *head, id objstore.Identity) error {
	used, damaged, err := b.references(ctx, h)
	if err != nil {
		return err
	}
	b.report.DamagedMarks = damaged
	h.Marks = slices.DeleteFunc(h.Marks, func(m MarkRef) bool {
		return slices.ContainsFunc(damaged, func(d DamagedMark) bool { return d.MarkRef == m })
	})
	keys, err := b.o.Store.List(ctx, IncarnationID(h.Incarnation)+"/")
	if err != nil {
		return fmt.Errorf("list the objects of the backup: %w", err)
	}
	now := b.o.Clock.Now()
	if s, ok := b.o.Store.(objstore.Uploads); ok { // of backups that were interrupted
		n, err := s.AbortUploads(ctx, IncarnationID(h.Incarnation)+"/", now.Add(-b.o.Grace))
		b.report.Deleted += n
		if err != nil {
			return err
		}
	}
	since := map[string]int64{}
	for _, u := range h.Unreferenced {
		since[u.Key] = u.SinceMs
	}
	var waiting []unreferenced
	var condemned []string
	for _, key := range keys {
		if used[key] {
			continue
		}
		at, ok := since[key]
		if !ok {
			at = now.UnixMilli()
		}
		if now.UnixMilli()-at >= b.o.Grace.Milliseconds() {
			condemned = append(condemned, key)
		} else {
			waiting = append(waiting, unreferenced{Key: key, SinceMs: at})
		}
	}
	if slices.Equal(waiting, h.Unreferenced) && len(condemned)+len(damaged) == 0 {
		return nil
	}
	h.Unreferenced, h.Condemned = waiting, condemned
	if id, err = b.putHead(ctx, h, id); err != nil {
		if errors.Is(err, objstore.ErrConflict) {
			return nil // another backup does it
		}
		return err
	}
	if len(condemned) == 0 {
		return nil
	}
	_, _, err = b.deleteCondemned(ctx, h, id)
	return err
}

// deleteCondemned deletes the condemned objects and takes them off the list.
func (b *backup) deleteCondemned(ctx context.Context, h *head, id objstore.Identity) (*head, objstore.Identity, error) {
	if errs := b.o.Store.Delete(ctx, h.Condemned...); errs != nil {
		return nil, id, fmt.Errorf("delete objects that no backup needs: %w", errors.Join(errs...))
	}
	b.report.Deleted += len(h.Condemned)
	h.Condemned = nil
	id, err := b.putHead(ctx, h, id)
	return h, id, err
}

// references returns the keys that the marks of a head refer to, and the marks of which
// that cannot be told.
func (b *backup) references(ctx context.Context, h *head) (used map[string]bool, damaged []DamagedMark, err error) {
	used = map[string]bool{}
	for _, ref := range h.Marks {
		m, _, err := loadMark(ctx, b.o.Store, h.Incarnation, ref)
		if isDamage(err) {
			damaged = append(damaged, DamagedMark{ref, err})
			continue
		} else if err != nil {
			return nil, nil, err
		}
		used[markKey(h.Incarnation, ref)] = true
		objects, _, err := m.objects()
		if err != nil {
			return nil, nil, err
		}
		for _, key := range objects {
			used[key] = true
		}
	}
	return used, damaged, nil
}
