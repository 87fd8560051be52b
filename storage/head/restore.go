package head

import (
	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// Cursor remembers the terms of the series restored last, so that labels that the next
// one shares with it are not looked up again: series in the log follow each other by
// target. It is valid under one hold of a shard's lock; its zero value is empty.
type Cursor struct {
	tenant uint32
	terms  []uint32 // of the tenant and the labels; empty = not known
	next   []uint32 // scratch
}

// Reset empties the cursor; it keeps its memory.
func (c *Cursor) Reset() { c.terms = c.terms[:0] }

// RestoreLocked is Resolve for a series of this shard whose identity is known. ls are
// sorted and not retained; same has for each of them the index of the same label in the
// previous call with the cursor, or -1.
func (s *Shard) RestoreLocked(c *Cursor, tenant uint32, id model.Identity, ls []labels.Label, same []int) model.Ref {
	if slot, ok := s.find(id); ok {
		c.terms = s.termsOf(slot, c.terms[:0])
		if c.tenant = tenant; len(c.terms) != len(ls)+1 {
			c.Reset()
		}
		return model.MakeRef(s.number, slot, s.marks.at(slot).epoch)
	}
	known, ok := c.terms, true
	terms := c.next[:0]
	if len(known) > 0 && c.tenant == tenant {
		terms = append(terms, known[0])
	} else {
		terms, ok = s.internTenant(terms, tenant)
	}
	metric := ""
	for i, l := range ls {
		if l.Name == commonmodel.MetricNameLabel {
			metric = l.Value
		}
		if at := same[i] + 1; at > 0 && at < len(known) {
			terms = append(terms, known[at])
			continue
		}
		t, found := s.intern(s.dict.addName(l.Name), l.Value)
		if ok = ok && found; !ok {
			break
		}
		terms = append(terms, t)
	}
	c.terms, c.next = terms, known
	var ref model.Ref
	if c.tenant = tenant; ok {
		ref = s.add(tenant, id, metric, terms)
	}
	if ref == 0 {
		c.Reset()
	}
	return ref
}
