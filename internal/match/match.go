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

	text  func() string               // computed once
	parse func() (*expression, error) // runs once; nil unless MatchRegexp or MatchNotRegexp
}

// New returns matchers with RE2 semantics. Their expressions are parsed by
// Compile or on first use: a query answered from a cache parses none of them.
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

// Compile parses the expressions of matchers. It fails for those that package
// labels accepts and regexp rejects because they are nested too deeply. It must
// succeed before a matcher is evaluated.
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

// Compiled returns matchers whose expressions have been parsed.
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

// String returns the matcher in PromQL syntax. Matchers with equal texts match
// the same values.
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

// Listed returns these values, sorted and without duplicates, if IsListed. The
// list is shared and must not be changed.
func (m *Matcher) Listed() []string {
	if m.parse == nil {
		return []string{m.Value}
	}
	return m.expr().sorted()
}

// Values returns the number of listed values, duplicates included, if IsListed.
func (m *Matcher) Values() int {
	if m.parse == nil {
		return 1
	}
	return len(m.expr().values)
}

// Prefixes returns sorted strings, none a prefix of another, so that every
// value for which a positive matcher is true and a negative one false begins
// with one of them. It returns nil if such values may begin with anything. The
// list is shared and must not be changed.
func (m *Matcher) Prefixes() []string {
	if m.parse == nil {
		return []string{m.Value}
	}
	return m.expr().prefixes()
}

// Any reports whether a positive matcher is true, and a negative one false, for
// every value except possibly the empty one.
func (m *Matcher) Any() bool { return m.parse != nil && m.expr().any }

// Cheap reports whether Matches never runs regexp.
func (m *Matcher) Cheap() bool { return m.parse == nil || m.expr().exact || m.expr().folded }

// Quick returns the result of Matches if it can be found without regexp.
// Otherwise sure is false, and Slow has to be called.
func (m *Matcher) Quick(value string) (ok, sure bool) {
	if m.parse == nil {
		return m.Matches(value), true
	}
	ok, sure = m.expr().quick(value)
	return ok != m.Negative(), sure
}

// Slow returns the result of Matches for a value of which Quick is not sure.
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
