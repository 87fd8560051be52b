package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"tsdb/internal/objstore"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/log"
)

// DamagedMark is a mark of the archive that cannot be read.
type DamagedMark struct {
	MarkRef
	Err error
}

// isDamage reports whether an error says that an object is missing from the archive, or
// that it is not what was written.
func isDamage(err error) bool {
	return errors.Is(err, format.ErrCorrupt) || errors.Is(err, log.ErrCorrupt) || errors.Is(err, fs.ErrNotExist)
}

// openHead is readHead for a head that may be damaged or missing. damage says so; the marks
// are then those that lie beside it and are whole.
func openHead(ctx context.Context, store objstore.Store, inc uint64) (h *head, id objstore.Identity, damage, err error) {
	h, id, err = readHead(ctx, store, inc)
	if isDamage(err) { // perhaps on the way
		h, id, err = readHead(ctx, store, inc)
	}
	missing := err == nil && id == objstore.Identity{}
	if !missing && !isDamage(err) {
		return h, id, nil, err
	}
	marks, findErr := findMarks(ctx, store, inc)
	if findErr != nil {
		return nil, id, nil, findErr
	}
	switch {
	case !missing:
		damage = err
	case len(marks) > 0:
		damage = fmt.Errorf("read %s: %w", headKey(inc), fs.ErrNotExist)
	}
	return &head{Incarnation: inc, Marks: marks}, id, damage, nil
}

// findMarks returns the marks in an archive all of whose objects are there, as a head lists
// them. Some may have been dropped.
func findMarks(ctx context.Context, store objstore.Store, inc uint64) ([]MarkRef, error) {
	keys, err := store.List(ctx, IncarnationID(inc)+"/")
	if err != nil {
		return nil, fmt.Errorf("list the objects of the backup: %w", err)
	}
	there := map[string]bool{}
	for _, key := range keys {
		there[key] = true
	}
	var marks []MarkRef
	for _, key := range keys {
		if !strings.HasSuffix(key, markSuffix) {
			continue
		}
		b, id, err := readAll(ctx, store, key, maxMarkBytes)
		if isDamage(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		m, err := decodeMark(b)
		if err != nil {
			continue
		}
		ref := MarkRef{WallMs: m.WallMs, Edit: m.Edit, LSN: m.LSN, Object: id.Recorded()}
		objects, _, err := m.objects()
		if err == nil && key == markKey(inc, ref) && !slices.ContainsFunc(objects, func(key string) bool { return !there[key] }) {
			marks = append(marks, ref)
		}
	}
	slices.SortFunc(marks, compareMarks)
	return marks, nil
}

// objects returns the keys of the objects that a mark refers to, and the state of its
// MANIFEST. An error is format.ErrCorrupt.
func (m *mark) objects() ([]string, *manifest.State, error) {
	st, err := manifest.Decode(m.Manifest)
	if err != nil {
		return nil, nil, format.Corrupt("MANIFEST of the backup of %s: %v", timeText(m.WallMs), err)
	}
	var keys []string
	for _, l := range st.Sorted() {
		if !slices.Contains(m.Missing, l.Name) {
			keys = append(keys, blockKey(m.Incarnation, l.Info))
		}
	}
	for i := range m.Pieces {
		keys = append(keys, pieceKey(m.Incarnation, &m.Pieces[i]))
	}
	return keys, st, nil
}

// loadMark is readMark for a mark that may be damaged: it is read again before it counts as
// such, and its MANIFEST is decoded.
func loadMark(ctx context.Context, store objstore.Store, inc uint64, ref MarkRef) (m *mark, st *manifest.State, err error) {
	for range 2 {
		if m, err = readMark(ctx, store, inc, ref); err == nil {
			if _, st, err = m.objects(); err == nil {
				return m, st, nil
			}
		}
		if !isDamage(err) {
			break
		}
	}
	return nil, nil, err
}

// whole looks for the newest moment up to the mark with index at whose objects are there
// and are not among those known to be bad, and returns the flag that restores it. A piece
// of the log is read, of a block only the existence is known. "" = there is none.
func (f *finder) whole(ctx context.Context, at int, bad map[string]bool) (string, error) {
	for i := at; i >= 0; i-- {
		m, _, err := loadMark(ctx, f.o.Store, f.o.Incarnation, f.marks[i])
		if isDamage(err) {
			continue
		} else if err != nil {
			return "", err
		}
		sound, err := f.sound(ctx, m, bad)
		if err != nil {
			return "", err
		}
		if sound {
			return f.flagOf(i), nil
		}
	}
	return "", nil
}

// furthest returns the flag that restores the last frame to which the log leads from the
// mark, or flag if that is none.
func (f *finder) furthest(ctx context.Context, flag string) (string, error) {
	end := f.mark.LSN
	for i := range f.chain.pieces {
		p := &f.chain.pieces[i]
		ok, err := hasPiece(ctx, f.o.Store, pieceKey(f.o.Incarnation, p), p)
		if err != nil {
			return "", err
		}
		if !ok {
			break
		}
		end = max(end, p.Last)
	}
	if end > f.mark.LSN {
		flag = fmt.Sprintf("--at-lsn %d", end)
	}
	return flag, nil
}

// sound reports whether the objects that the restore of a mark needs are there.
func (f *finder) sound(ctx context.Context, m *mark, bad map[string]bool) (bool, error) {
	objects, _, err := m.objects()
	if err != nil || len(m.Missing) > 0 {
		return false, nil
	}
	blocks := objects[:len(objects)-len(m.Pieces)]
	for _, key := range blocks {
		if bad[key] {
			return false, nil
		}
		if _, err := f.o.Store.Head(ctx, key); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		} else if err != nil {
			return false, fmt.Errorf("look for %s: %w", key, err)
		}
	}
	for _, p := range newChain(m).pieces {
		key := pieceKey(f.o.Incarnation, &p)
		ok, err := hasPiece(ctx, f.o.Store, key, &p)
		if err != nil {
			return false, fmt.Errorf("verify %s: %w", key, err)
		}
		if bad[key] || !ok {
			return false, nil
		}
	}
	return true, nil
}

// flagOf returns the flag that restores a mark.
func (f *finder) flagOf(i int) string {
	ref := f.marks[i]
	if i+1 < len(f.marks) && f.marks[i+1].LSN == ref.LSN {
		return "--at " + timeText(ref.WallMs)
	}
	return fmt.Sprintf("--at-lsn %d (%s)", ref.LSN, timeText(ref.WallMs))
}

// advise adds to an error about a moment what can be restored instead: up to the mark with
// index at.
func (f *finder) advise(ctx context.Context, cause error, at int, bad map[string]bool) error {
	flag, err := f.whole(ctx, at, bad)
	if err == nil && at == f.at && f.chain != nil && strings.HasPrefix(flag, f.flagOf(at)) {
		flag, err = f.furthest(ctx, flag)
	}
	if err != nil {
		return errors.Join(cause, err)
	}
	if flag == "" {
		return fmt.Errorf("%w; the archive has no earlier moment that is whole", cause)
	}
	return fmt.Errorf("%w; the newest moment before it that is whole: %s", cause, flag)
}
