package query

import "slices"

// metricSteps is the metric that a source met last, and its steps.
type metricSteps struct {
	name  string
	steps *stepSet
}

// noteName notes where column i of a rate has values, if its metric does not look
// like a counter.
func (s *rangeSource) noteName(i int, c *column) error {
	ls, _ := s.in.labels(i)
	name := ls.Get(nameLabel)
	if name == "" || counterName(name) {
		return nil
	}
	m := s.noted.Load()
	if m == nil || m.name != name {
		if !slices.ContainsFunc(c.v, func(v float64) bool { return !isAbsent(v) }) {
			return nil
		}
		steps, err := s.f.nonCounters.of(s.expr, name)
		if err != nil {
			return err
		}
		m = &metricSteps{name, steps}
		s.noted.Store(m)
	}
	m.steps.addValues(s.grid, c.v)
	return nil
}
