package match

import (
	"fmt"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// A Matcher is a condition on the value of one label. It is safe for concurrent
// use.
type Matcher struct {
	Type  labels.MatchType
	Name  string
	Value string

	text  func() string               // made once
	parse func() (*expression, error) // once; nil but for MatchRegexp and MatchNotRegexp
}

// New returns matchers that decide as RE2 does. Their expressions are read by
// Compile, or when they are first needed: an answer that is in a cache needs
// none of them.
func New(ms []*labels.Matcher) []*Matcher {
	all := make([]*Matcher, len(ms))
	for i, m := range ms {
		all[i] = &Matcher{Type: m.Type, Name: m.Name, Value: m.Value, text: sync.OnceValue(m.String)}
		if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
			all[i].parse = sync.OnceValues(func() (*expression, error) { return parse(m.Value) })
		}
	}
	return all
}

// Compile reads the expressions of matchers. It fails for those that package
// labels accepts and regexp does not, because they are nested too deep. It must
// have succeeded before a matcher is asked.
func Compile(ms []*Matcher) error {
	for _, m := range ms {
		if m.parse == nil {
			continue
		}
		if _, err := m.parse(); err != nil {
			return fmt.Errorf("matcher of label %q: %w", m.Name, err)
		}
	}
	return nil
}

// Compiled returns matchers whose expressions have been read.
func Compiled(ms []*labels.Matcher) ([]*Matcher, error) {
	all := New(ms)
	return all, Compile(all)
}

// expr returns the parsed expression of a matcher.
func (m *Matcher) expr() *expression {
	e, err := m.parse()
	if err != nil {
		panic(fmt.Sprintf("BUG: matcher %s is asked though it does not compile: %v", m, err))
	}
	return e
}

// String returns the matcher in PromQL syntax. Matchers with equal texts give
// equal answers.
func (m *Matcher) String() string { return m.text() }

// Negative reports whether the matcher is != or !~.
func (m *Matcher) Negative() bool {
	return m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp
}

// Matches reports whether a value satisfies the matcher. A series without the
// label has the empty value.
func (m *Matcher) Matches(value string) bool {
	switch m.Type {
	case labels.MatchEqual:
		return value == m.Value
	case labels.MatchNotEqual:
		return value != m.Value
	case labels.MatchRegexp:
		return m.expr().matches(value)
	}
	return !m.expr().matches(value)
}

// IsListed reports whether the values for which a positive matcher is true and
// a negative one false can be listed.
func (m *Matcher) IsListed() bool {
	if m.parse == nil {
		return true
	}
	e := m.expr()
	return e.exact && len(e.globs) == 0
}

// Listed returns these values, sorted and each once, if IsListed. The list is
// shared and must not be changed.
func (m *Matcher) Listed() []string {
	if m.parse == nil {
		return []string{m.Value}
	}
	return m.expr().sorted()
}

// Values returns the number of listed values, if IsListed; some may be equal.
func (m *Matcher) Values() int {
	if m.parse == nil {
		return 1
	}
	return len(m.expr().values)
}

// Prefixes returns beginnings, sorted and none of which begins another, one of
// which all values have for which a positive matcher is true and a negative
// one false. It returns nil if that is no help: they may begin with anything.
// The list is shared and must not be changed.
func (m *Matcher) Prefixes() []string {
	if m.parse == nil {
		return []string{m.Value}
	}
	return m.expr().prefixes()
}

// Any reports whether a positive matcher is true, and a negative one false, for
// every value but perhaps the empty one.
func (m *Matcher) Any() bool { return m.parse != nil && m.expr().any }

// Cheap reports whether Matches does without regexp.
func (m *Matcher) Cheap() bool { return m.parse == nil || m.expr().exact || m.expr().folded }

// Quick returns what Matches does, unless regexp has to be asked: sure is false
// then, and Slow asks it.
func (m *Matcher) Quick(value string) (ok, sure bool) {
	if m.parse == nil {
		return m.Matches(value), true
	}
	ok, sure = m.expr().quick(value)
	return ok != m.Negative(), sure
}

// Slow returns what Matches does for a value of which Quick is not sure.
func (m *Matcher) Slow(value string) bool { return m.expr().decide(value) != m.Negative() }

// All reports whether a series with the labels ls satisfies all matchers.
func All(ms []*Matcher, ls labels.Labels) bool {
	for _, m := range ms {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}
