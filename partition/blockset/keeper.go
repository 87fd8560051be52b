package blockset

import (
	"context"
	"errors"
	"fmt"

	"tsdb/internal/objstore"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Keeper keeps files of blocks that an edit has dropped: those of earlier states that can
// still be read (OpenState). It is safe for concurrent use.
type Keeper interface {
	// MayKeep reports whether Keep may want a block of the name.
	MayKeep(name string) bool
	// Keep moves the file of a dropped block out of its place, and reports true, if the
	// block is to be kept. After an error the file is where it was, or has been moved,
	// and Keep is called again.
	Keep(ctx context.Context, b block.Info) (bool, error)
}

// keep offers dropped blocks to the keeper. It returns those that it took and those that
// it does not want. Those that it failed to take are in neither.
func (s *Set) keep(ctx context.Context, obsolete []*Entry) (kept, unwanted []string, err error) {
	var errs []error
	for _, e := range obsolete {
		took := false
		if s.o.Keeper != nil && s.o.Keeper.MayKeep(e.Name) {
			var err error
			if took, err = s.o.Keeper.Keep(ctx, e.Info); err != nil {
				errs = append(errs, fmt.Errorf("keep %s: %w", e.Name, err))
				continue
			}
		}
		if took {
			kept = append(kept, e.Name)
		} else {
			unwanted = append(unwanted, e.Name)
		}
	}
	return kept, unwanted, errors.Join(errs...)
}

// keepLeftover offers an unlisted object to the keeper, and reports whether that took it.
// One that it failed to take is pending: it becomes obsolete, so that Sweep tries again.
func (s *Set) keepLeftover(ctx context.Context, st *manifest.State, name string) (took, pending bool) {
	if s.o.Keeper == nil || !s.o.Keeper.MayKeep(name) {
		return false, false
	}
	b, err := block.Open(s.store, name, nil)
	if err != nil {
		return false, false
	}
	info := b.Info()
	_ = b.Close() // it was only read
	if took, err = s.o.Keeper.Keep(ctx, info); err == nil {
		return took, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.obsolete = append(s.mu.obsolete, &Entry{Listed: manifest.Listed{Info: info}, dropped: st.Number})
	return false, true
}

// OpenState opens the blocks of an earlier state as a version that is never current. open
// opens the object of a block, wherever it is now. As in Open, blocks that are missing or
// damaged are quarantined. The caller releases the version, before the set is closed.
func (s *Set) OpenState(st *manifest.State, open func(b block.Info) (objstore.Object, error)) (*Version, error) {
	v := newVersion(s, st)
	v.refs = 1
	for _, b := range st.Sorted() {
		e := &Entry{Listed: b, versions: 1}
		object, err := open(b.Info)
		if err == nil {
			e.block, err = block.OpenObject(object, b.Name, s.o.Cache)
		}
		if err == nil {
			e.block, err = verified(e.block, b.Info)
		}
		switch {
		case err == nil:
		case block.IsLost(err):
			e.quarantine(err)
		default:
			return nil, errors.Join(err, closeAll(v.entries))
		}
		v.entries = append(v.entries, e)
	}
	v.sort()
	return v, nil
}
