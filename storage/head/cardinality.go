package head

import (
	"context"
	"sort"

	"tsdb/internal/model"
)

// CountLabels calls each with every label value of the given series and the number of
// series that have it, shard by shard: a value comes once for each shard. refs are
// sorted, as Select returns them; series that have left meanwhile do not count. The
// locks of shards are held for a few series at a time, and not during each, whose
// strings are valid only during the call.
func (h *Head) CountLabels(ctx context.Context, refs []model.Ref, each func(name, value string, series uint64) error) error {
	var counts []uint32
	for len(refs) > 0 {
		s := &h.shards[refs[0].Shard()]
		n := sort.Search(len(refs), func(i int) bool { return refs[i].Shard() > s.number })
		var v shardView
		for again := true; again; {
			if err := ctx.Err(); err != nil {
				return err
			}
			counts, v, again = s.countLabels(refs[:n], counts)
		}
		refs = refs[n:]
		for t, series := range counts {
			if t%countPerCheck == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if series == 0 || v.name(uint32(t)) == tenantName {
				continue
			}
			if err := each(v.name(uint32(t)), v.value(uint32(t)), uint64(series)); err != nil {
				return err
			}
		}
	}
	return nil
}

// The series that are counted in one hold of a shard's lock, some 0.1 ms, and the terms
// between checks of the context.
const (
	countPerLock  = 1024
	countPerCheck = 4096
)

// countLabels counts the series of refs, which are of the shard, by their terms, in the
// memory of counts. again reports that the terms were numbered anew meanwhile.
func (s *Shard) countLabels(refs []model.Ref, counts []uint32) (_ []uint32, v shardView, again bool) {
	s.mu.RLock()
	v = s.view()
	packed := s.packed
	s.mu.RUnlock()
	if cap(counts) < int(v.nTerms) {
		counts = make([]uint32, v.nTerms)
	}
	counts = counts[:v.nTerms]
	clear(counts)
	for len(refs) > 0 {
		part := refs[:min(countPerLock, len(refs))]
		refs = refs[len(part):]
		s.mu.RLock()
		if s.packed != packed {
			s.mu.RUnlock()
			return counts, v, true
		}
		for _, ref := range part {
			if !s.alive(ref) {
				continue
			}
			b := s.text.from(s.series.at(ref.Slot()).labels)
			n, k := uvarint(b)
			for range n {
				b = b[k:]
				var t uint64
				t, k = uvarint(b)
				if t < uint64(len(counts)) { // a slot used again may name newer terms
					counts[t]++
				}
			}
		}
		s.mu.RUnlock()
	}
	return counts, v, false
}
