package door

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"tsdb/storage"
)

// Rules are the settings of the doors that may change while the server runs. They are
// not modified once they are in force.
type Rules struct {
	Relabel []*relabel.Config    // of new series, at every door
	Series  storage.SeriesLimits // Active and NewPerHour
	Doors   map[string]DoorRules // by the name of the door
}

// DoorRules are those of one door.
type DoorRules struct {
	Relabel    []*relabel.Config // after the rules of every door
	Limits     Limits            // zero fields = those of every door
	Series     int64             // maximum of active series that the door was the first to send; 0 = none
	NewPerHour int64             // maximum of series that the door registers in an hour; 0 = none
}

// rulesInForce are rules with their generation, which is part of the seeds of aliases:
// an alias remembers the outcome of the rules.
type rulesInForce struct {
	generation uint64
	doors      map[string]*effectiveRules
	others     *effectiveRules
}

// effectiveRules are all rules of a door.
type effectiveRules struct {
	relabel []*relabel.Config
	names   *metadataNames // nil = those that are sent
	limits  Limits
	series  storage.SeriesLimits
}

// SetRules replaces the rules. Requests that are being stored keep theirs.
func (s *Shared) SetRules(r Rules) {
	s.rulesMu.Lock()
	defer s.rulesMu.Unlock()
	next := &rulesInForce{generation: s.generation, doors: map[string]*effectiveRules{}}
	if old := s.rules.Load(); old != nil {
		next.generation = old.generation + 1
	}
	next.others = &effectiveRules{relabel: r.Relabel, names: newMetadataNames(r.Relabel), limits: s.limits, series: r.Series}
	for name, d := range r.Doors {
		e := &effectiveRules{limits: d.Limits.or(s.limits), series: r.Series}
		e.relabel = append(append(e.relabel, r.Relabel...), d.Relabel...)
		e.names = newMetadataNames(e.relabel)
		e.series.DoorActive, e.series.DoorNewPerHour = d.Series, d.NewPerHour
		next.doors[name] = e
	}
	s.rules.Store(next)
}

// of returns the rules of a door.
func (r *rulesInForce) of(door string) *effectiveRules {
	if e, ok := r.doors[door]; ok {
		return e
	}
	return r.others
}

// or returns the limits with those of other in the place of zero fields.
func (l Limits) or(other Limits) Limits {
	setDefault(&l.Labels, other.Labels)
	setDefault(&l.NameBytes, other.NameBytes)
	setDefault(&l.ValueBytes, other.ValueBytes)
	return l.withDefaults()
}

// use makes the rules in force those of the request.
func (r *Request[D]) use(rules *rulesInForce) {
	e := rules.of(r.door.name)
	r.rules = rules
	r.Batch.relabel, r.Batch.names, r.Batch.Labels.limits = e.relabel, e.names, e.limits
	r.Batch.out.Limit(e.series)
}

// relabelled returns the labels of a series after the rules of the door. keep is false
// if the rules drop the series.
func (b *Batch) relabelled(ls labels.Labels) (_ labels.Labels, keep bool, bad *storage.Reject) {
	if b.builder == nil {
		b.builder = labels.NewBuilder(labels.EmptyLabels())
	}
	b.builder.Reset(ls)
	if !relabel.ProcessBuilder(b.builder, b.relabel...) {
		return ls, false, nil
	}
	set := &b.Labels
	set.Reset()
	b.builder.Range(func(l labels.Label) { set.Add([]byte(l.Name), []byte(l.Value)) })
	ls, bad = set.check()
	return ls, true, bad
}
