package head

import (
	"regexp"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
)

// compiled returns matchers for the head.
func compiled(ms ...*labels.Matcher) []*match.Matcher {
	all, err := match.Compiled(ms)
	if err != nil {
		panic(err)
	}
	return all
}

// expressions are those that matches has compiled.
var expressions sync.Map // text → *regexp.Regexp

// matches evaluates a matcher as Prometheus defines it, by nothing but regexp.
func matches(m *labels.Matcher, value string) bool {
	switch m.Type {
	case labels.MatchEqual:
		return value == m.Value
	case labels.MatchNotEqual:
		return value != m.Value
	}
	re, ok := expressions.Load(m.Value)
	if !ok {
		re = regexp.MustCompile("^(?s:" + m.Value + ")$")
		expressions.Store(m.Value, re)
	}
	return re.(*regexp.Regexp).MatchString(value) == (m.Type == labels.MatchRegexp)
}
