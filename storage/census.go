package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// census finds the series of a tenant in each place of a view that has some: the head,
// blocks of samples, and blocks of rollups for days whose samples have expired. It
// reads indexes and directories, no columns.
type census struct {
	view   *View
	tenant uint32
	// sets are lists of matchers, of which a series must satisfy one; empty = all series
	// are found.
	sets [][]*match.Matcher
	// reserve is called before memory is taken that grows with the number of series or
	// values. Its error ends the census. nil = not called.
	reserve  func(bytes int64) error
	warnings []error // name data that are not found
}

// newCensus returns a census of the series that satisfy all matchers of one of the sets.
func newCensus(v *View, tenant uint32, sets [][]*labels.Matcher, reserve func(int64) error) (*census, error) {
	c := &census{view: v, tenant: tenant, reserve: reserve}
	for _, ms := range sets {
		compiled, err := match.Compiled(ms)
		if err != nil {
			return nil, err
		}
		c.sets = append(c.sets, compiled)
	}
	if len(c.sets) == 0 {
		c.sets = [][]*match.Matcher{nil}
	}
	return c, nil
}

func (c *census) take(bytes int64) error {
	if c.reserve == nil {
		return nil
	}
	return c.reserve(bytes)
}

func (c *census) warn(err error) {
	if len(c.warnings) < maxWarnings {
		c.warnings = append(c.warnings, err)
	}
}

// head returns the series with samples in memory in a range, sorted.
func (c *census) head(ctx context.Context, tr model.TimeRange) ([]model.Ref, error) {
	st, h := c.view.st, c.view.views.head
	if tr = st.visible(tr); tr.Empty() {
		return nil, nil
	}
	buffers := st.buffersIn(tr)
	if len(buffers) == 0 {
		return nil, nil
	}
	var refs []model.Ref
	for _, ms := range c.sets {
		found, err := h.Select(ctx, c.tenant, ms, tr, buffers...)
		if err != nil {
			return nil, err
		}
		if err := c.take(int64(len(found)) * 8); err != nil {
			return nil, err
		}
		refs = append(refs, found...)
	}
	if len(c.sets) > 1 {
		slices.Sort(refs)
		refs = slices.Compact(refs)
	}
	deleted, err := c.view.views.frozenDeletions(st, c.tenant)
	if err != nil {
		return nil, err
	}
	if rules := st.rulesInHead(); len(deleted) > 0 || rules != nil {
		set := &SeriesSet{view: c.view, deleted: deleted, rules: rules}
		var b model.LabelBuilder
		refs = slices.DeleteFunc(refs, func(ref model.Ref) bool {
			_, _, ls, ok := h.LabelsTo(ref, &b)
			return !ok || set.isDeleted(ref, tr, ls)
		})
	}
	return refs, nil
}

// identities calls each with the index and the identity of every series of head.
func (c *census) identities(refs []model.Ref, each func(i int, id model.Identity) error) error {
	var ids [1024]model.Identity // all of them would be twice the memory of the refs
	for from := 0; from < len(refs); from += len(ids) {
		part := refs[from:min(from+len(ids), len(refs))]
		c.view.views.head.IDs(part, ids[:len(part)])
		for k, id := range ids[:len(part)] {
			if err := each(from+k, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// see adds the identities of series of head to a set.
func (c *census) see(refs []model.Ref, seen *hashSet) error {
	if err := seen.expect(len(refs)); err != nil {
		return err
	}
	return c.identities(refs, func(_ int, id model.Identity) error {
		_, err := seen.add(id.Hi)
		return err
	})
}

// parts returns the parts of blocks that have series in a range: of samples, the newest
// first, then of rollups.
func (c *census) parts(ctx context.Context, tr model.TimeRange) ([]blockPart, error) {
	st := c.view.st
	var parts []blockPart
	if shown := st.visible(tr); !shown.Empty() {
		for _, e := range slices.Backward(st.overlapping(shown)) {
			parts = append(parts, blockPart{Entry: e, ranges: []model.TimeRange{shown}})
		}
	}
	expired, err := st.expiredParts(ctx, tr)
	if errors.Is(err, format.ErrCorrupt) {
		c.warn(err)
		err = nil
	}
	return append(parts, expired...), err
}

// blocks calls each with the blocks that have series in a range, and these series. What
// cannot be read is left out, with a warning. each may change the bitmap.
func (c *census) blocks(ctx context.Context, tr model.TimeRange, each func(b *block.Block, series *roaring.Bitmap) error) error {
	parts, err := c.parts(ctx, tr)
	if err != nil {
		return err
	}
	return c.blocksOf(ctx, parts, each)
}

// files returns all blocks of samples and rollups, whatever of them is shown.
func (c *census) files() (parts []blockPart) {
	for _, e := range slices.Backward(c.view.st.blocks.Entries()) {
		parts = append(parts, blockPart{Entry: e, ranges: []model.TimeRange{model.AllTime}})
	}
	return parts
}

// blocksOf is blocks for given parts.
func (c *census) blocksOf(ctx context.Context, parts []blockPart, each func(b *block.Block, series *roaring.Bitmap) error) error {
	for _, p := range parts {
		if err := c.view.checkpoint(ctx); err != nil {
			return err
		}
		if err := p.Err(); err != nil {
			c.warn(err)
		}
		if p.Block() == nil {
			continue
		}
		series, err := c.inBlock(ctx, p)
		if err == nil && !series.IsEmpty() {
			err = each(p.Block(), series)
		}
		if errors.Is(err, format.ErrCorrupt) {
			c.warn(err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// inBlock returns the series of a block that match and have a chunk in a range of the
// part.
func (c *census) inBlock(ctx context.Context, p blockPart) (*roaring.Bitmap, error) {
	deletions, err := p.deletions(ctx, c.view.st)
	if err != nil {
		return nil, err
	}
	found := roaring.New()
	for _, ms := range c.sets {
		bm, err := p.Block().Postings(ctx, c.tenant, ms)
		if err != nil {
			return nil, err
		}
		found.Or(bm)
	}
	if p.only != nil {
		found.And(p.only)
	}
	all := roaring.New()
	for _, tr := range p.ranges {
		bm := found
		if len(p.ranges) > 1 {
			bm = found.Clone()
		}
		lost, err := p.Block().PresentIn(ctx, bm, tr, deletions)
		if err != nil {
			return nil, err
		}
		for _, err := range lost {
			c.warn(err)
		}
		all.Or(bm)
	}
	return all, nil
}

// hashSet is a set of 64-bit hashes with open addressing: 16 to 32 bytes each, without
// pointers.
type hashSet struct {
	slots []uint64 // 0 = free; a power of two
	n     int
	take  func(bytes int64) error
}

// maxHashes bounds a hashSet: 1 GiB.
const maxHashes = 1 << 26

// add adds a hash and reports whether it was not in the set.
func (s *hashSet) add(h uint64) (bool, error) {
	if h == 0 {
		h = 1
	}
	if 4*s.n >= 3*len(s.slots) {
		if err := s.grow(); err != nil {
			return false, err
		}
	}
	if !insertHash(s.slots, h) {
		return false, nil
	}
	s.n++
	return true, nil
}

// expect makes room for n hashes more, so that the set is not copied as it grows.
func (s *hashSet) expect(n int) error {
	size := len(s.slots)
	for ; 4*(s.n+min(n, maxHashes)) >= 3*size; size = max(minHashSlots, 2*size) {
	}
	if size == len(s.slots) {
		return nil
	}
	return s.resize(size)
}

const minHashSlots = 1024

func (s *hashSet) grow() error {
	if s.n >= maxHashes {
		return fmt.Errorf("count series: more than %d; narrow the request down with match[] or a day", maxHashes)
	}
	return s.resize(max(minHashSlots, 2*len(s.slots)))
}

func (s *hashSet) resize(size int) error {
	if s.take != nil {
		if err := s.take(int64(size) * 8); err != nil {
			return err
		}
	}
	slots := make([]uint64, size)
	for _, h := range s.slots {
		if h != 0 {
			insertHash(slots, h)
		}
	}
	s.slots = slots
	return nil
}

// insertHash reports whether h, which is not 0, was not in slots.
func insertHash(slots []uint64, h uint64) bool {
	mask := uint64(len(slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		switch slots[at] {
		case 0:
			slots[at] = h
			return true
		case h:
			return false
		}
	}
}

// has reports whether a hash is in the set.
func (s *hashSet) has(h uint64) bool {
	if h == 0 {
		h = 1
	}
	if len(s.slots) == 0 {
		return false
	}
	mask := uint64(len(s.slots) - 1)
	for at := h & mask; s.slots[at] != 0; at = (at + 1) & mask {
		if s.slots[at] == h {
			return true
		}
	}
	return false
}
