package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"tsdb/internal/objstore"
	"tsdb/partition/format"
)

var (
	// ErrEmpty is returned for a store without an archive.
	ErrEmpty = errors.New("no backup is there")
	// ErrNotCovered is returned by Restore for a moment that is not archived.
	ErrNotCovered = errors.New("the moment is not in the archive")
)

// Incarnation describes what an archive has of one incarnation.
type Incarnation struct {
	ID    uint64
	Marks []MarkRef // the oldest first
	// Damage says why the head cannot be read; the marks are those that lie beside it. nil =
	// it can be.
	Damage error
}

// List returns the incarnations in an archive, that with the newest mark last. If no head is
// there, it looks for marks.
func List(ctx context.Context, store objstore.Store) ([]Incarnation, error) {
	keys, err := store.List(ctx, headsDir)
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var ids []uint64
	for _, key := range keys {
		id, err := ParseIncarnation(strings.TrimSuffix(path.Base(key), headSuffix))
		if err == nil && strings.HasSuffix(key, headSuffix) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		if keys, err = store.List(ctx, ""); err != nil {
			return nil, fmt.Errorf("list backups: %w", err)
		}
		for _, key := range keys {
			first, _, _ := strings.Cut(key, "/")
			if id, err := ParseIncarnation(first); err == nil && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	var found []Incarnation
	for _, id := range ids {
		h, _, damage, err := openHead(ctx, store, id)
		if err != nil {
			return nil, err
		}
		if len(h.Marks) > 0 {
			found = append(found, Incarnation{ID: id, Marks: h.Marks, Damage: damage})
		} else if damage != nil {
			return nil, fmt.Errorf("%w, and no whole moment lies beside it", damage)
		}
	}
	slices.SortFunc(found, func(a, b Incarnation) int {
		return int(a.Marks[len(a.Marks)-1].WallMs - b.Marks[len(b.Marks)-1].WallMs)
	})
	return found, nil
}

// readHead returns the head of an incarnation and its identity; an empty one with a zero
// identity if there is none.
func readHead(ctx context.Context, store objstore.Store, inc uint64) (*head, objstore.Identity, error) {
	key := headKey(inc)
	b, id, err := readAll(ctx, store, key, maxHeadBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return &head{Incarnation: inc}, objstore.Identity{}, nil
	}
	if err != nil {
		return nil, id, fmt.Errorf("read %s: %w", key, err)
	}
	h, err := decodeHead(b)
	if err == nil && h.Incarnation != inc {
		err = format.Corrupt("it is of incarnation %016x", h.Incarnation)
	}
	if err != nil {
		return nil, id, fmt.Errorf("read %s: %w", key, err)
	}
	return h, id, nil
}

// readMark returns a mark that a head lists.
func readMark(ctx context.Context, store objstore.Store, inc uint64, ref MarkRef) (*mark, error) {
	key := markKey(inc, ref)
	b, id, err := readAll(ctx, store, key, maxMarkBytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if id.Recorded() != ref.Object {
		return nil, fmt.Errorf("read %s: %w", key, format.Corrupt("it has %v, the head lists %v", id, ref.Object))
	}
	m, err := decodeMark(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return m, nil
}
