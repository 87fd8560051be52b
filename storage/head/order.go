package head

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tsdb/internal/model"
)

// order holds the series in the order of blocks. It is kept from cut to cut, so that
// only new series have to be sorted and merged in.
type order struct {
	mu      sync.Mutex // also prevents evictions
	refs    []model.Ref
	shared  bool         // a caller of Sorted may read refs
	version uint64       // another one for other refs
	bytes   atomic.Int64 // of refs
}

// Sorted returns the series with samples or exemplars in a buffer in the order
// of blocks: by tenant, then by the value of __name__, then by the other
// labels, name before value, a prefix before longer sets. A series added to the
// buffer meanwhile may be missing. The caller must not change the slice. Calls that return the same
// version, other than 0, return the same series.
func (h *Head) Sorted(b *Buffer) (_ []model.Ref, version uint64) {
	o := &h.order
	o.mu.Lock()
	defer o.mu.Unlock()
	h.updateOrder()
	o.bytes.Store(int64(cap(o.refs)) * 8)
	var present [model.Shards]bitset
	for i := range present {
		mu := b.rlock(i)
		present[i] = slices.Clone(b.shards[i].present)
		runlock(mu)
	}
	absent := func(ref model.Ref) bool { return !present[ref.Shard()].has(ref.Slot()) }
	first := slices.IndexFunc(o.refs, absent)
	if first < 0 {
		o.shared = true
		return o.refs, o.version
	}
	refs := append(make([]model.Ref, 0, b.Stats().Series), o.refs[:first]...)
	for _, ref := range o.refs[first:] {
		if !absent(ref) {
			refs = append(refs, ref)
		}
	}
	return refs, 0
}

// updateOrder merges the series created since the last call into the order and drops
// evicted ones. The caller holds the order's lock.
func (h *Head) updateOrder() {
	o := &h.order
	n := 0
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		n += len(s.fresh)
		s.mu.RUnlock()
	}
	fresh := make([]model.Ref, 0, n+n/64)
	var views [model.Shards]shardView
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		fresh = append(fresh, s.fresh...)
		s.fresh = nil
		views[i] = s.view()
		s.mu.Unlock()
	}
	gone := func(ref model.Ref) bool { return !views[ref.Shard()].alive(ref) }
	fresh = slices.DeleteFunc(fresh, gone)
	before := len(o.refs)
	o.refs = o.without(gone)
	if len(fresh) > 0 || len(o.refs) < before {
		o.version++
	}
	if len(fresh) == 0 {
		return
	}
	sortSeries(&views, fresh)
	o.refs, o.shared = mergeSeries(&views, o.refs, fresh), false
}

// without returns the refs but for those that are gone, in the same memory if nobody else
// reads it.
func (o *order) without(gone func(model.Ref) bool) []model.Ref {
	if o.shared && slices.ContainsFunc(o.refs, gone) {
		o.refs, o.shared = slices.Clone(o.refs), false
	}
	return slices.DeleteFunc(o.refs, gone)
}

// mergeSeries merges two lists of series in order, which it may return.
func mergeSeries(views *[model.Shards]shardView, old, fresh []model.Ref) []model.Ref {
	if len(old) == 0 {
		return fresh
	}
	merged := make([]model.Ref, 0, len(old)+len(fresh))
	at := 0
	for _, f := range fresh {
		before := func(i int) bool {
			o := old[i]
			return compareSeries(&views[o.Shard()], o.Slot(), &views[f.Shard()], f.Slot()) < 0
		}
		// Galloping search: steps double until one goes too far, then halve.
		step := 1
		for at+step <= len(old) && before(at+step-1) {
			merged = append(merged, old[at:at+step]...)
			at += step
			step *= 2
		}
		for ; step > 0; step /= 2 {
			if at+step <= len(old) && before(at+step-1) {
				merged = append(merged, old[at:at+step]...)
				at += step
			}
		}
		merged = append(merged, f)
	}
	return append(merged, old[at:]...)
}

// sortSeries sorts series in the order of blocks. Comparing the labels of a million
// series takes seconds of cache misses. So sortSeries ranks the terms, which are few,
// and sorts the series of each metric by the ranks of their terms.
func sortSeries(views *[model.Shards]shardView, refs []model.Ref) {
	ranks := rankTerms(views, refs)
	type keyed struct {
		key uint64 // ranks of tenant and metric name
		ref model.Ref
	}
	keys := make([]keyed, len(refs))
	for i, ref := range refs {
		c := views[ref.Shard()].cursor(ref.Slot())
		tenant, _, _ := c.next()
		key := uint64(ranks[ref.Shard()][tenant]) << 32
		if metric, ok, _ := c.next(); ok {
			key |= uint64(ranks[ref.Shard()][metric])
		}
		keys[i] = keyed{key, ref}
	}
	slices.SortFunc(keys, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })

	var flat []uint32
	var group []sequence
	for i := 0; i < len(keys); {
		flat, group = flat[:0], group[:0]
		j := i
		for ; j < len(keys) && keys[j].key == keys[i].key; j++ {
			ref := keys[j].ref
			c := views[ref.Shard()].cursor(ref.Slot())
			c.state = atOthers
			c.take() // the tenant
			from := uint32(len(flat))
			for t, _, end := c.next(); !end; t, _, end = c.next() {
				flat = append(flat, ranks[ref.Shard()][t])
			}
			group = append(group, sequence{from: from, to: uint32(len(flat)), ref: ref})
		}
		sortGroup(flat, group)
		for k, s := range group {
			refs[i+k] = s.ref
		}
		i = j
	}
}

// sequence is a series of a metric with the ranks of its terms.
type sequence struct {
	key      uint64 // the first two ranks in which series of the metric differ
	from, to uint32 // all ranks
	ref      model.Ref
}

// sortGroup sorts the series of a metric, whose ranks lie in flat. They mostly have the
// same first labels, and differ in the two after them.
func sortGroup(flat []uint32, group []sequence) {
	first := flat[group[0].from:group[0].to]
	same := len(first)
	for _, s := range group[1:] {
		ranks := flat[s.from:s.to]
		same = min(same, len(ranks))
		for i, r := range ranks[:same] {
			if r != first[i] {
				same = i
				break
			}
		}
	}
	for i := range group {
		s := &group[i]
		ranks := flat[s.from:s.to][same:]
		if len(ranks) > 0 {
			s.key = uint64(ranks[0]) << 32
		}
		if len(ranks) > 1 {
			s.key |= uint64(ranks[1])
		}
	}
	slices.SortFunc(group, func(a, b sequence) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return slices.Compare(flat[a.from:a.to], flat[b.from:b.to])
	})
}

// rankTerms numbers the terms of the series in the order of names, then values. Rank
// 0 means no term; equal terms of different shards have the same rank.
func rankTerms(views *[model.Shards]shardView, refs []model.Ref) (ranks [model.Shards][]uint32) {
	const used = 1
	all := 0
	for i := range views {
		ranks[i] = make([]uint32, views[i].nTerms)
		all += len(ranks[i])
	}
	if all < len(refs) { // it costs less to rank all terms than to read which are used
		for _, r := range ranks {
			for t := range r {
				r[t] = used
			}
		}
		refs = nil
	}
	for _, ref := range refs {
		ids, n := views[ref.Shard()].run(ref.Slot())
		for range n {
			t, k := uvarint(ids)
			ids = ids[k:]
			ranks[ref.Shard()][t] = used
		}
	}
	type shardTerm struct {
		shard int
		term  uint32
	}
	byName := make(map[string][]shardTerm)
	for i := range views {
		for t, r := range ranks[i] {
			if r == used {
				name := views[i].name(uint32(t))
				byName[name] = append(byName[name], shardTerm{i, uint32(t)})
			}
		}
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	rank := uint32(0)
	for _, name := range names {
		terms := byName[name]
		value := func(p shardTerm) string { return views[p.shard].value(p.term) }
		slices.SortFunc(terms, func(a, b shardTerm) int { return strings.Compare(value(a), value(b)) })
		for i, p := range terms {
			if i == 0 || value(p) != value(terms[i-1]) {
				rank++
			}
			ranks[p.shard][p.term] = rank
		}
	}
	return ranks
}
