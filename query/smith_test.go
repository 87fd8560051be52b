package query_test

import (
	"cmp"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/cortexproject/promqlsmith"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query/querytest"
)

// promqlsmith adds a function that Prometheus no longer has.
func init() { delete(parser.Functions, "holt_winters") }

// newSmith returns promqlsmith's generator of expressions over the series of a
// storage. It knows the stable language; querytest.Generator, which asks more
// of what is rare, the rest.
func newSmith(t testing.TB, s *querytest.Storage, seed uint64) *promqlsmith.PromQLSmith {
	t.Helper()
	q, err := s.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var series []labels.Labels
	set := q.Select(t.Context(), true, &promstorage.SelectHints{Start: math.MinInt64 / 4, End: math.MaxInt64 / 4, Func: "series"},
		labels.MustNewMatcher(labels.MatchNotEqual, "__name__", ""))
	for set.Next() {
		series = append(series, set.At().Labels())
	}
	if err := set.Err(); err != nil || len(series) == 0 {
		t.Fatalf("%d series, %v", len(series), err)
	}
	var functions []*parser.Function // in an order of their own: the library's is that of a map
	for _, f := range parser.Functions {
		if !f.Experimental {
			functions = append(functions, f)
		}
	}
	slices.SortFunc(functions, func(a, b *parser.Function) int { return cmp.Compare(a.Name, b.Name) })
	return promqlsmith.New(rand.New(rand.NewSource(int64(seed))), series,
		promqlsmith.WithEnabledFunctions(functions),
		promqlsmith.WithEnableOffset(true), promqlsmith.WithEnableAtModifier(true), promqlsmith.WithEnableVectorMatching(true),
		promqlsmith.WithAtModifierMaxTimestamp(querytest.FillEndMs), promqlsmith.WithMaxDepth(4))
}
