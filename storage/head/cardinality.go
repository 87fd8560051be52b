package head

// Cardinality says what the series of a head are made of.
type Cardinality struct {
	Series    int
	Metrics   map[string]uint64 // series, by metric name
	Names     map[string]uint64 // distinct values, by label name
	NameBytes map[string]uint64 // bytes of those values
	Pairs     map[Pair]uint64   // series, by label and value
}

// Pair is a label with its value.
type Pair struct{ Name, Value string }

// Cardinality counts. It copies every distinct label value, a shard at a time
// under the shard's read lock.
func (h *Head) Cardinality() Cardinality {
	c := Cardinality{
		Metrics: map[string]uint64{}, Names: map[string]uint64{}, NameBytes: map[string]uint64{}, Pairs: map[Pair]uint64{},
	}
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		c.Series += s.live
		for k := range s.dict.names {
			n := &s.dict.names[k]
			if n.name == tenantName {
				continue
			}
			for _, id := range n.terms {
				c.count(s, n.name, s.dict.terms.at(id))
			}
		}
		s.mu.RUnlock()
	}
	return c
}

func (c *Cardinality) count(s *Shard, name string, t *term) {
	series := uint64(t.list.len())
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
