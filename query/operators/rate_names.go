package operators

import (
	"slices"

	"tsdb/query/noncounter"
	"tsdb/query/steps"
)

// metricSteps is the metric that a source met last, and its steps.
type metricSteps struct {
	name  string
	steps *steps.Set
}

// noteName notes where column i of a rate has values, if its metric does not look
// like a counter.
func (s *rangeSource) noteName(i int, c *column) error {
	ls, _ := s.in.labels(i)
	name := ls.Get(nameLabel)
	if name == "" || noncounter.IsCounterName(name) {
		return nil
	}
	m := s.noted.Load()
	if m == nil || m.name != name {
		if !slices.ContainsFunc(c.v, func(v float64) bool { return !isAbsent(v) }) {
			return nil
		}
		steps, err := s.f.nonCounters.Steps(s.expr, name)
		if err != nil {
			return err
		}
		m = &metricSteps{name, steps}
		s.noted.Store(m)
	}
	m.steps.AddValues(s.Grid, c.v)
	return nil
}
