package query

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"
)

// selectorTimes returns the first and last time of the samples that a selector of a
// preprocessed statement needs, for those that are not planned.
// path holds its ancestors, the root first.
func selectorTimes(vs *parser.VectorSelector, path []parser.Node, stmt *parser.EvalStmt) (first, last int64) {
	start, end := stmt.Start.UnixMilli(), stmt.End.UnixMilli()
	first, last = start, end
	reach := stmt.LookbackDelta.Milliseconds()
	for _, n := range path {
		switch n := n.(type) {
		case *parser.SubqueryExpr:
			if at, ok := fixed(n.Timestamp, n.StartOrEnd, start, end); ok {
				first, last = at, at
			}
			first = add(first, -n.OriginalOffset.Milliseconds()-n.Range.Milliseconds())
			last = add(last, -n.OriginalOffset.Milliseconds())
		case *parser.MatrixSelector:
			reach = n.Range.Milliseconds()
		}
	}
	if at, ok := fixed(vs.Timestamp, vs.StartOrEnd, start, end); ok {
		first, last = at, at
	}
	offset := vs.OriginalOffset.Milliseconds()
	// Windows are open on the left.
	return add(first, -offset-reach+1), add(last, -offset)
}

// fixed returns the time of an @ modifier, if there is one.
func fixed(at *int64, preset parser.ItemType, start, end int64) (int64, bool) {
	switch {
	case at != nil:
		return *at, true
	case preset == parser.START:
		return start, true
	case preset == parser.END:
		return end, true
	}
	return 0, false
}

// add returns t + d, saturated at the bounds of int64.
func add(t, d int64) int64 {
	switch sum := t + d; {
	case d < 0 && sum > t:
		return math.MinInt64
	case d > 0 && sum < t:
		return math.MaxInt64
	default:
		return sum
	}
}
