package blockset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tsdb/internal/objstore"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// Leftover is an object that the MANIFEST does not list, and the result of cleaning
// it up.
type Leftover struct {
	Name    string // its key
	MovedTo string // its new key; empty if it was not moved
	Reason  string
	Err     error // of reading, deleting or moving it; it still exists
}

// CleanUp deletes or sets aside the objects that the MANIFEST does not list, left
// by a crash or put there by a user. An object is deleted if that loses no data: it
// is incomplete; an edit has dropped it; the WAL holds all of it, according to
// walHolds for the generations from lo to hi; all blocks it was made from are
// listed and readable; or it was imported. A rollup is deleted too while it can be made again, or what
// is listed covers its days. Any other object is set aside. An object that cannot be read,
// deleted or set aside stays, with an error in its Leftover; Sweep retries the
// deletions. If the store has a grace, Sweep does all of them. What the Keeper keeps is left to it.
//
// CleanUp must be called after Open and before anything else writes to the store.
func (s *Set) CleanUp(walHolds func(lo, hi uint64) bool) ([]Leftover, error) {
	s.publish.Lock()
	defer s.publish.Unlock()
	ctx := context.Background()
	found, err := block.ListKeys(ctx, s.store)
	if err != nil {
		return nil, err
	}
	v := s.Acquire()
	defer v.Release()
	var left []Leftover
	var toDelete []string
	gone := maps.Clone(v.state.Dropped)
	for _, name := range found {
		if _, listed := v.state.Blocks[name]; listed {
			continue
		}
		if took, pending := s.keepLeftover(ctx, v.state, name); pending {
			delete(gone, name)
			continue
		} else if took {
			continue
		}
		l := Leftover{Name: name}
		if s.canDelete(v, &l, walHolds) {
			toDelete = append(toDelete, name)
		} else if l.Err == nil {
			l.MovedTo, l.Err = s.store.SetAside(ctx, name)
		}
		left = append(left, l)
	}
	kept := toDelete
	if s.store.Grace() == 0 {
		kept = deleteLeftovers(ctx, s.store, toDelete, left)
	}
	for _, name := range kept {
		delete(gone, name)
	}
	s.mu.Lock()
	s.mu.orphans = append(s.mu.orphans, kept...)
	s.mu.Unlock()
	s.manifest.Forget(slices.Collect(maps.Keys(gone)))
	return left, nil
}

// deleteLeftovers deletes the named leftovers, records the errors in left, and
// returns the names of those that still exist.
func deleteLeftovers(ctx context.Context, store objstore.Store, names []string, left []Leftover) (kept []string) {
	if len(names) == 0 {
		return nil
	}
	for i, err := range store.Delete(ctx, names...) {
		if err == nil {
			continue
		}
		kept = append(kept, names[i])
		at := slices.IndexFunc(left, func(l Leftover) bool { return l.Name == names[i] })
		left[at].Err = fmt.Errorf("delete %s: %w", names[i], err)
	}
	return kept
}

// canDelete reports whether an object can be deleted, and sets the reason in l.
func (s *Set) canDelete(v *Version, l *Leftover, walHolds func(lo, hi uint64) bool) bool {
	if strings.HasSuffix(l.Name, objstore.TempSuffix) {
		l.Reason = "temporary"
		return true
	}
	if _, dropped := v.state.Dropped[l.Name]; dropped {
		l.Reason = "dropped by an edit"
		return true
	}
	b, err := block.Open(s.store, l.Name, nil)
	switch {
	case errors.Is(err, format.ErrVersion):
		l.Reason = err.Error()
		return false
	case errors.Is(err, format.ErrCorrupt):
		l.Reason = "not whole: " + err.Error()
		return true
	case err != nil:
		l.Reason, l.Err = "not listed, and cannot be read", err
		return false
	}
	info := b.Info()
	_ = b.Close() // it was only read
	switch {
	case info.Tier != block.Raw && canRollUp(v, info):
		l.Reason = "a rollup that was not published; what it was made from, or its days, are there"
		return true
	case info.Tier != block.Raw:
		l.Reason = "a rollup that is not listed, of days without other data"
		return false
	case info.Imported():
		l.Reason = "an import that was not published; it can be repeated"
		return true
	case len(info.Inputs) > 0 && allReadable(v, info.Inputs):
		l.Reason = "a merge that was not published; its inputs are all there"
		return true
	case hasOtherAttempt(v, info):
		l.Reason = "an earlier or later attempt at a block that is listed"
		return true
	case info.MinGen >= v.state.WALLow && walHolds(info.MinGen, info.MaxGen):
		l.Reason = "a cut that was not published; the WAL holds all of it"
		return true
	}
	l.Reason = fmt.Sprintf("not listed, and its generations %d to %d are neither whole in the WAL nor in what it was made from", info.MinGen, info.MaxGen)
	return false
}

// canRollUp reports whether an unlisted rollup block holds nothing that is not
// listed: its sources are listed and readable, or each of its days has raw blocks or
// is covered in its tier.
func canRollUp(v *Version, info block.Info) bool {
	if len(info.Sources) > 0 && allReadable(v, info.Sources) {
		return true
	}
	raw := map[int64]bool{}
	for _, e := range v.Raw() {
		if e.Level != block.L0 && e.Err() == nil {
			raw[e.Partition] = true
		}
	}
	for day := info.Partition; day < info.Span().Max; day = info.Tier.PartitionRange(day).Max {
		c, covered := v.state.CoverageOf(info.Tier, day)
		if !raw[day] && (!covered || c.Block != "" && !allReadable(v, []string{c.Block})) {
			return false
		}
	}
	return true
}

// hasOtherAttempt reports whether a listed, readable block was made from the inputs
// of info, by another attempt with another ordinal. For a cut, a block made from
// another attempt counts too.
func hasOtherAttempt(v *Version, info block.Info) bool {
	found := false
	first := info.Meta
	first.Ordinal = 0
	cut := strings.TrimSuffix(block.FileName(first), format.BlockSuffix)
	ofAttempt := func(in string) bool { return strings.HasPrefix(in, cut+"-") || in == cut+format.BlockSuffix }
	for _, e := range v.Raw() {
		if info.Level == block.L0 && len(info.Inputs) == 0 && slices.ContainsFunc(e.Inputs, ofAttempt) ||
			e.Level == info.Level && e.Partition == info.Partition && e.MinGen == info.MinGen && e.MaxGen == info.MaxGen && slices.Equal(e.Inputs, info.Inputs) {
			if e.Err() != nil {
				return false
			}
			found = true
		}
	}
	return found
}

func allReadable(v *Version, names []string) bool {
	for _, name := range names {
		if e := v.Find(name); e == nil || e.Err() != nil {
			return false
		}
	}
	return true
}
