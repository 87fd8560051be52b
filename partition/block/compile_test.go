package block

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/match/matchtest"
)

// matches is the reference that selections are compared with.
var matches = matchtest.Matches

// compiled returns matchers for a block.
func compiled(ms ...*labels.Matcher) []*match.Matcher {
	all, err := match.Compiled(ms)
	if err != nil {
		panic(err)
	}
	return all
}
