package head

import (
	"context"
	"slices"

	"tsdb/internal/match"
	"tsdb/internal/model"
)

// Select returns the series of a tenant that match all matchers, sorted by shard,
// then by slot. As in Prometheus, an absent label has the empty value. If buffers
// are given, even an empty list, it returns only series that have samples in one of
// them and whose range from first to last sample there overlaps tr. The shards are
// read one after another, each under its read lock: series created or evicted
// meanwhile may or may not be included.
func (h *Head) Select(ctx context.Context, tenant uint32, ms []*match.Matcher, tr model.TimeRange, in ...*Buffer) ([]model.Ref, error) {
	if err := match.Compile(ms); err != nil {
		return nil, err
	}
	var refs []model.Ref
	q := newSelection(tenant, ms, tr, in)
	for i := range h.shards {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q.ask(&h.shards[i], func(s *Shard) {
			slots := q.run(s)
			if refs == nil {
				refs = make([]model.Ref, 0, len(slots)*(model.Shards+1)) // shards have about equal numbers of series
			}
			for _, slot := range slots {
				refs = append(refs, model.MakeRef(i, slot, s.marks.at(slot).epoch))
			}
		})
	}
	return refs, nil
}

// selection is a query for series, run on every shard in turn.
type selection struct {
	tenant uint32
	ms     []condition
	in     []*Buffer       // if not nil: series need samples in one of these,
	tr     model.TimeRange // in this range
	wanted *condition      // condition that run could not evaluate until its answers are prepared

	// Scratch, reused from shard to shard.
	slots []uint32
	bits  bitset
}

// condition is a matcher and the facts about it that hold for all shards.
type condition struct {
	*match.Matcher
	matchesEmpty bool
	// values are the values that match or, if the matcher matches the empty value,
	// the values that do not match. nil if they cannot be listed.
	values []string
	// seen caches the results of an expression: evaluating it can be expensive, and
	// most values occur in every shard.
	seen map[string]bool
	// prepared are the answers for the values of a label in one shard.
	prepared answers
}

func newSelection(tenant uint32, ms []*match.Matcher, tr model.TimeRange, in []*Buffer) *selection {
	q := &selection{tenant: tenant, tr: tr, in: in}
	for _, m := range ms {
		c := condition{Matcher: m, matchesEmpty: m.Matches("")}
		// A list is usable in two cases: = and =~ that do not match "" list the
		// values that match; != and !~ that match "" list those that do not. In the
		// other cases "" is in the list: = and =~ then require all other values to
		// be absent, != and !~ require one of the other values, so the list does not
		// give the terms. A long list is not looked up under a shard's lock.
		if m.IsListed() && m.Negative() == c.matchesEmpty && m.Values() <= maxValuesUnderLock {
			c.values = m.Listed()
			if c.values == nil {
				c.values = []string{}
			}
		}
		if c.values == nil && !m.Cheap() {
			c.seen = make(map[string]bool)
		}
		q.ms = append(q.ms, c)
	}
	return q
}

// ask calls do under the shard's read lock. If do needs answers that are expensive to
// compute, ask prepares them without the lock and calls do again.
func (q *selection) ask(s *Shard, do func(*Shard)) {
	for {
		q.wanted = nil
		s.mu.RLock()
		do(s)
		s.mu.RUnlock()
		if q.wanted == nil {
			return
		}
		q.wanted.prepare(s)
	}
}

// answers are the results of a condition for all terms of its name in one shard.
type answers struct {
	shard  *Shard
	packed uint32 // Shard.packed when they were computed
	terms  uint32 // number of terms of the shard at that time
	yes    bitset // terms whose value matches
}

// maxValuesUnderLock bounds the number of values evaluated under a shard's lock,
// which takes 0.1 to 0.2 ms. Without a bound, a label with a different value for
// every series would block writers for long.
const maxValuesUnderLock = 1024

// prepare evaluates the condition on all values of its name without the shard's
// lock: values are never changed.
func (c *condition) prepare(s *Shard) {
	s.mu.RLock()
	v, packed := s.view(), s.packed
	var terms []uint32
	if name, ok := s.dict.nameID(c.Name); ok {
		terms = s.dict.names[name].terms
	}
	s.mu.RUnlock()
	c.prepared = answers{shard: s, packed: packed, terms: v.nTerms, yes: bitsetFor(v.nTerms)}
	for _, t := range terms {
		if t < v.nTerms && c.matches(v.value(t)) {
			c.prepared.yes.set(t)
		}
	}
}

// isPrepared reports whether the prepared answers are valid for a shard.
func (c *condition) isPrepared(s *Shard) bool {
	return c.prepared.shard == s && c.prepared.packed == s.packed
}

// matchesTerm is matches for a term of a shard.
func (c *condition) matchesTerm(s *Shard, t uint32) bool {
	if c.isPrepared(s) && t < c.prepared.terms {
		return c.prepared.yes.has(t)
	}
	return c.matches(s.value(s.dict.terms.at(t)))
}

// maxSeenValues bounds the number of results a condition caches.
const maxSeenValues = 1 << 16

func (c *condition) matches(value string) bool {
	ok, sure := c.Quick(value)
	if sure {
		return ok
	}
	ok, known := c.seen[value]
	if !known {
		ok = c.Slow(value)
		if len(c.seen) < maxSeenValues {
			c.seen[value] = ok
		}
	}
	return ok
}

// A filter is a condition resolved in one shard: terms of a name, of which a series
// must have one, or must have none.
type filter struct {
	cond  *condition
	name  uint32
	not   bool     // the terms must be absent
	known bool     // terms are resolved
	terms []uint32 // with at least one series each
	n     int      // number of series of the terms; an estimate if not known
}

// run returns the slots of a shard that match the selection, rising, valid
// until the next run. The caller holds the shard's lock for reading, through
// ask, or for writing.
func (q *selection) run(s *Shard) []uint32 {
	tenant, ok := s.tenantTerm(q.tenant)
	if !ok {
		return nil
	}
	var few [8]filter
	filters := few[:0]
	for i := range q.ms {
		c := &q.ms[i]
		name, ok := s.dict.nameID(c.Name)
		if !ok || c.Name == tenantName {
			if !c.matchesEmpty {
				return nil
			}
			continue // satisfied by every series of the shard
		}
		f := filter{cond: c, name: name, not: c.matchesEmpty}
		if c.values != nil {
			s.listed(&f)
			if f.n == 0 {
				if !f.not {
					return nil
				}
				continue
			}
		} else {
			f.n = len(s.dict.names[name].terms) << 8 // an estimate
		}
		filters = append(filters, f)
	}
	slices.SortFunc(filters, func(a, b filter) int {
		switch {
		case a.not != b.not:
			return boolInt(a.not) - boolInt(b.not)
		case a.known != b.known:
			return boolInt(b.known) - boolInt(a.known)
		}
		return a.n - b.n
	})
	base := s.dict.terms.at(tenant).list
	if len(filters) > 0 && !filters[0].not {
		f := &filters[0]
		if !q.resolve(s, f) {
			return nil
		}
		q.slots = q.union(s, f, q.slots[:0])
		if base.len() < s.live {
			q.slots = q.keepTenant(s, base, q.slots)
		}
		filters = filters[1:]
	} else {
		q.slots = s.appendPostings(q.slots[:0], base)
	}
	for i := range filters {
		if len(q.slots) == 0 {
			return nil
		}
		if !q.apply(s, &filters[i]) {
			return nil
		}
	}
	if q.in != nil {
		q.slots = slices.DeleteFunc(q.slots, func(slot uint32) bool {
			return !slices.ContainsFunc(q.in, func(b *Buffer) bool { return b.shards[s.number].has(slot, q.tr) })
		})
	}
	return q.slots
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// tenantTerm returns the internal term that all series of a tenant have.
func (s *Shard) tenantTerm(tenant uint32) (uint32, bool) {
	name, ok := s.dict.nameID(tenantName)
	if !ok {
		return 0, false
	}
	value := [4]byte{byte(tenant >> 24), byte(tenant >> 16), byte(tenant >> 8), byte(tenant)}
	t, ok := s.lookup(name, string(value[:]))
	return t, ok && s.dict.terms.at(t).list.len() > 0
}

// listed resolves a filter whose condition lists its values.
func (s *Shard) listed(f *filter) {
	for _, v := range f.cond.values {
		if t, ok := s.lookup(f.name, v); ok {
			f.addTerm(s, t)
		}
	}
	f.known = true
}

func (f *filter) addTerm(s *Shard, t uint32) {
	if n := s.dict.terms.at(t).list.len(); n > 0 {
		f.terms = append(f.terms, t)
		f.n += n
	}
}

// resolve finds the terms of a filter by evaluating every value of its name. It
// reports false if the answers must be prepared first.
func (q *selection) resolve(s *Shard, f *filter) bool {
	if f.known {
		return true
	}
	terms := s.dict.names[f.name].terms
	if len(terms) > maxValuesUnderLock && !f.cond.isPrepared(s) {
		q.wanted = f.cond
		return false
	}
	f.known, f.n = true, 0
	for _, t := range terms {
		if f.cond.matchesTerm(s, t) != f.not {
			f.addTerm(s, t)
		}
	}
	return true
}

// union appends the slots of a filter's terms to dst, rising. A series has one value
// per name, so the terms share no slots.
func (q *selection) union(s *Shard, f *filter, dst []uint32) []uint32 {
	if len(f.terms) == 1 {
		return s.appendPostings(dst, s.dict.terms.at(f.terms[0]).list)
	}
	return q.setOf(s, f).appendTo(dst)
}

// setOf returns the slots of a filter's terms as a bitset, valid until the next
// call.
func (q *selection) setOf(s *Shard, f *filter) bitset {
	words := int(s.slots+63) / 64
	q.bits = slices.Grow(q.bits[:0], words)[:words]
	clear(q.bits)
	for _, t := range f.terms {
		s.setBits(q.bits, s.dict.terms.at(t).list)
	}
	return q.bits
}

// keepTenant keeps only the slots of a tenant.
func (q *selection) keepTenant(s *Shard, tenant postings, slots []uint32) []uint32 {
	words := int(s.slots+63) / 64
	q.bits = slices.Grow(q.bits[:0], words)[:words]
	clear(q.bits)
	s.setBits(q.bits, tenant)
	return slices.DeleteFunc(slots, func(slot uint32) bool { return !q.bits.has(slot) })
}

// Weights of the two ways to apply a filter: reading the label ids of a candidate
// costs as much as evaluating a few values or copying many postings.
const (
	valuesACandidate   = 4
	postingsACandidate = 16
)

// apply keeps only the candidates that pass a filter. Few candidates are
// checked one by one, which saves evaluating values that none of them has;
// for many the filter's postings are joined. It reports false if answers must be
// prepared first.
func (q *selection) apply(s *Shard, f *filter) bool {
	values := len(s.dict.names[f.name].terms)
	if !f.known && values > len(q.slots)*valuesACandidate {
		q.slots = slices.DeleteFunc(q.slots, func(slot uint32) bool {
			t, ok := s.termNamed(slot, f.name)
			if !ok {
				return !f.not
			}
			return !f.cond.matchesTerm(s, t)
		})
		return true
	}
	if !q.resolve(s, f) {
		return false
	}
	if f.n > len(q.slots)*postingsACandidate {
		slices.Sort(f.terms)
		q.slots = slices.DeleteFunc(q.slots, func(slot uint32) bool {
			t, ok := s.termNamed(slot, f.name)
			if ok {
				_, ok = slices.BinarySearch(f.terms, t)
			}
			return ok == f.not
		})
		return true
	}
	set := q.setOf(s, f)
	q.slots = slices.DeleteFunc(q.slots, func(slot uint32) bool { return set.has(slot) == f.not })
	return true
}

// termNamed returns the term of a series that has a name.
func (s *Shard) termNamed(slot, name uint32) (uint32, bool) {
	b := s.text.from(s.series.at(slot).labels)
	n, k := uvarint(b)
	for range n {
		b = b[k:]
		var t uint64
		t, k = uvarint(b)
		if s.dict.terms.at(uint32(t)).name == name {
			return uint32(t), true
		}
	}
	return 0, false
}
