package head

import (
	"context"
	"maps"
	"slices"
	"strings"

	"tsdb/internal/match"
	"tsdb/internal/model"
)

// LabelNames returns the label names of the series of a tenant that match all
// matchers, sorted. If buffers are given, even an empty list, only series with
// samples or exemplars in one of them count.
func (h *Head) LabelNames(ctx context.Context, tenant uint32, ms []*match.Matcher, tr model.TimeRange, in ...*Buffer) ([]string, error) {
	if err := match.Compile(ms); err != nil {
		return nil, err
	}
	found := make(map[string]struct{})
	q := newSelection(tenant, ms, tr, in)
	for i := range h.shards {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q.ask(&h.shards[i], func(s *Shard) {
			set, all := q.scope(s)
			if !all && set == nil {
				return
			}
			for k := range s.dict.names {
				n := &s.dict.names[k]
				if _, ok := found[n.name]; !ok && n.name != tenantName && s.anyTerm(n.terms, set, all) {
					found[n.name] = struct{}{}
				}
			}
		})
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// LabelValues returns the values of a label in the series of a tenant that match all
// matchers, sorted, the first limit of them if limit > 0. If buffers are given, even an
// empty list, only series with samples in one of them count: see Select.
func (h *Head) LabelValues(ctx context.Context, tenant uint32, name string, ms []*match.Matcher, tr model.TimeRange, limit int, in ...*Buffer) ([]string, error) {
	if name == tenantName {
		return nil, nil
	}
	if err := match.Compile(ms); err != nil {
		return nil, err
	}
	found := firstTexts{limit: limit, texts: make(map[string]struct{})}
	q := newSelection(tenant, ms, tr, in)
	var values []string // views; copied after the lock is released
	for i := range h.shards {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q.ask(&h.shards[i], func(s *Shard) {
			values = values[:0]
			id, ok := s.dict.nameID(name)
			if !ok {
				return
			}
			set, all := q.scope(s)
			for _, t := range s.dict.names[id].terms {
				if e := s.dict.terms.at(t); all && e.list.len() > 0 || !all && s.anyIn(e.list, set) {
					values = append(values, s.value(e))
				}
			}
		})
		for _, v := range values {
			found.add(v)
		}
	}
	return found.sorted(), nil
}

// firstTexts collects the first limit of the texts that it is given, in their order; all
// of them if limit is 0. It holds at most about twice as many.
type firstTexts struct {
	limit int
	texts map[string]struct{}
	last  string // texts after it are not among the first; "" = not known
}

// add adds a copy of a text that is not empty.
func (f *firstTexts) add(text string) {
	if f.last != "" && text > f.last {
		return
	}
	if _, ok := f.texts[text]; ok {
		return
	}
	f.texts[strings.Clone(text)] = struct{}{}
	if f.limit > 0 && len(f.texts) > 2*f.limit+minFirstTexts {
		first := f.sorted()
		f.last = first[len(first)-1]
		clear(f.texts)
		for _, t := range first {
			f.texts[t] = struct{}{}
		}
	}
}

// minFirstTexts is the number of texts beyond the limit from which on they are sorted.
const minFirstTexts = 1024

func (f *firstTexts) sorted() []string {
	all := slices.Sorted(maps.Keys(f.texts))
	if f.limit > 0 && len(all) > f.limit {
		all = all[:f.limit]
	}
	return all
}

// scope returns the slots of a shard that match the selection as a bitset, valid
// until the next run, or reports that all series of the shard match. The set is nil
// if none match.
func (q *selection) scope(s *Shard) (set bitset, all bool) {
	tenant, ok := s.tenantTerm(q.tenant)
	if !ok {
		return nil, false
	}
	if len(q.ms) == 0 && q.in == nil && s.dict.terms.at(tenant).list.len() == s.live {
		return nil, true
	}
	slots := q.run(s)
	if len(slots) == 0 {
		return nil, false
	}
	words := int(s.slots+63) / 64
	q.bits = slices.Grow(q.bits[:0], words)[:words]
	clear(q.bits)
	for _, slot := range slots {
		q.bits.set(slot)
	}
	return q.bits, false
}

// anyTerm reports whether one of the terms has a series in the set or, with all,
// any series.
func (s *Shard) anyTerm(terms []uint32, set bitset, all bool) bool {
	for _, t := range terms {
		list := s.dict.terms.at(t).list
		if all && list.len() > 0 || !all && s.anyIn(list, set) {
			return true
		}
	}
	return false
}
