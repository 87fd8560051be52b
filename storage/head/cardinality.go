package head

// Cardinality counts the labels of a tenant's series in a head.
type Cardinality struct {
	Series    int
	Metrics   map[string]uint64 // series, by metric name
	Names     map[string]uint64 // distinct values, by label name
	NameBytes map[string]uint64 // bytes of those values
	Pairs     map[Pair]uint64   // series, by label and value
}

// Pair is a label with its value.
type Pair struct{ Name, Value string }

// Cardinality counts the series of a tenant and their labels. It copies every
// distinct label value, one shard at a time, under the shard's read lock.
func (h *Head) Cardinality(tenant uint32) Cardinality {
	c := Cardinality{
		Metrics: map[string]uint64{}, Names: map[string]uint64{}, NameBytes: map[string]uint64{}, Pairs: map[Pair]uint64{},
	}
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		c.add(s, tenant)
		s.mu.RUnlock()
	}
	return c
}

// add counts the tenant's series of a shard, whose lock is held.
func (c *Cardinality) add(s *Shard, tenant uint32) {
	t, ok := s.tenantTerm(tenant)
	if !ok {
		return
	}
	own := s.dict.terms.at(t).list
	c.Series += own.len()
	var others bitset // slots of other tenants; nil = none
	if own.len() < s.live {
		others = bitsetFor(s.slots)
		for _, id := range s.dict.names[s.dict.byName[tenantName]].terms {
			if id != t {
				s.setBits(others, s.dict.terms.at(id).list)
			}
		}
	}
	for k := range s.dict.names {
		n := &s.dict.names[k]
		if n.name == tenantName {
			continue
		}
		for _, id := range n.terms {
			c.count(s, n.name, s.dict.terms.at(id), others)
		}
	}
}

func (c *Cardinality) count(s *Shard, name string, t *term, others bitset) {
	series := uint64(t.list.len())
	if others != nil {
		series = 0
		for _, slot := range s.appendPostings(nil, t.list) {
			if !others.has(slot) {
				series++
			}
		}
	}
	if series == 0 {
		return // dead
	}
	p := Pair{name, s.value(t)}
	if _, seen := c.Pairs[p]; !seen {
		c.Names[name]++
		c.NameBytes[name] += uint64(len(p.Value))
	}
	if name == metricName {
		c.Metrics[p.Value] += series
	}
	c.Pairs[p] += series
}
