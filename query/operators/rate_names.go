package operators

import (
	"slices"

	"tsdb/query/noncounter"
	"tsdb/query/steps"
)

// metricSteps is a metric and its steps.
type metricSteps struct {
	name  string
	steps *steps.Set
}

// noteName records the steps at which column i of a rate has values, unless its
// metric has a counter's name.
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
