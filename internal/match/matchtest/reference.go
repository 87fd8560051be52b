package matchtest

import (
	"regexp"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// expressions are those that Matches has compiled.
var expressions sync.Map // text → *regexp.Regexp

// Matches evaluates a matcher as Prometheus defines it, by nothing but regexp.
func Matches(m *labels.Matcher, value string) bool {
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
