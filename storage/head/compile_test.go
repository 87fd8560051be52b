package head

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/match/matchtest"
)

// matches is the reference implementation for selections.
var matches = matchtest.Matches

// compiled returns matchers for the head.
func compiled(ms ...*labels.Matcher) []*match.Matcher {
	all, err := match.Compiled(ms)
	if err != nil {
		panic(err)
	}
	return all
}
