package prom

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// formatQuery pretty-prints an expression.
func (a *API) formatQuery(r *http.Request) (answer, *apiError) {
	text, err := a.parser.Format(r.Form.Get("query"))
	if err != nil {
		return answer{}, badParam("query", err)
	}
	return answer{data: func(e *encoder) { e.b = appendString(e.b, text) }}, nil
}

// parseQuery returns the tree of an expression.
func (a *API) parseQuery(r *http.Request) (answer, *apiError) {
	expr, err := a.parser.ParseExpr(r.Form.Get("query"))
	if err != nil {
		return answer{}, badParam("query", err)
	}
	return answer{data: jsonValue(tree(expr))}, nil
}

type object = map[string]any

// tree converts an expression to objects and lists. It returns nil for nil.
func tree(expr parser.Expr) any {
	switch n := expr.(type) {
	case nil:
		return nil
	case *parser.AggregateExpr:
		return object{
			"type": "aggregation", "op": n.Op.String(), "expr": tree(n.Expr), "param": tree(n.Param),
			"grouping": list(n.Grouping), "without": n.Without,
		}
	case *parser.BinaryExpr:
		return object{
			"type": "binaryExpr", "op": n.Op.String(), "lhs": tree(n.LHS), "rhs": tree(n.RHS),
			"matching": matching(n.VectorMatching), "bool": n.ReturnBool,
		}
	case *parser.Call:
		args := make([]any, len(n.Args))
		for i, arg := range n.Args {
			args[i] = tree(arg)
		}
		return object{
			"type": "call", "args": args,
			"func": object{"name": n.Func.Name, "argTypes": n.Func.ArgTypes, "variadic": n.Func.Variadic, "returnType": n.Func.ReturnType},
		}
	case *parser.VectorSelector:
		return selector("vectorSelector", n)
	case *parser.MatrixSelector:
		o := selector("matrixSelector", n.VectorSelector.(*parser.VectorSelector))
		o["range"], o["rangeExpr"] = n.Range.Milliseconds(), duration(n.RangeExpr)
		return o
	case *parser.SubqueryExpr:
		return object{
			"type": "subquery", "expr": tree(n.Expr),
			"range": n.Range.Milliseconds(), "rangeExpr": duration(n.RangeExpr),
			"offset": n.OriginalOffset.Milliseconds(), "offsetExpr": duration(n.OriginalOffsetExpr),
			"step": n.Step.Milliseconds(), "stepExpr": duration(n.StepExpr),
			"timestamp": n.Timestamp, "startOrEnd": preprocessor(n.StartOrEnd),
		}
	case *parser.DurationExpr:
		return duration(n)
	case *parser.NumberLiteral:
		return object{"type": "numberLiteral", "val": strconv.FormatFloat(n.Val, 'f', -1, 64)}
	case *parser.StringLiteral:
		return object{"type": "stringLiteral", "val": n.Val}
	case *parser.ParenExpr:
		return object{"type": "parenExpr", "expr": tree(n.Expr)}
	case *parser.UnaryExpr:
		return object{"type": "unaryExpr", "op": n.Op.String(), "expr": tree(n.Expr)}
	}
	panic(fmt.Sprintf("BUG: expression of type %T", expr))
}

func selector(kind string, n *parser.VectorSelector) object {
	matchers := make([]object, len(n.LabelMatchers))
	for i, m := range n.LabelMatchers {
		matchers[i] = matcher(m)
	}
	return object{
		"type": kind, "name": n.Name, "matchers": matchers,
		"offset": n.OriginalOffset.Milliseconds(), "offsetExpr": duration(n.OriginalOffsetExpr),
		"timestamp": n.Timestamp, "startOrEnd": preprocessor(n.StartOrEnd),
		"anchored": n.Anchored, "smoothed": n.Smoothed,
	}
}

func matcher(m *labels.Matcher) object {
	return object{"name": m.Name, "value": m.Value, "type": m.Type.String()}
}

// duration is tree for duration expressions, whose numbers record whether they
// were written with a unit.
func duration(expr parser.Expr) any {
	switch n := expr.(type) {
	case *parser.DurationExpr:
		if n == nil { // the duration is a plain number
			return nil
		}
		return object{"type": "durationExpr", "op": n.Op.String(), "lhs": duration(n.LHS), "rhs": duration(n.RHS), "wrapped": n.Wrapped}
	case *parser.NumberLiteral:
		if n == nil {
			return nil
		}
		return object{"type": "numberLiteral", "val": strconv.FormatFloat(n.Val, 'f', -1, 64), "duration": n.Duration}
	}
	return tree(expr)
}

func matching(m *parser.VectorMatching) any {
	if m == nil {
		return nil
	}
	return object{
		"card": m.Card.String(), "labels": list(m.MatchingLabels), "on": m.On, "include": list(m.Include),
		"fillValues": map[string]*float64{"lhs": m.FillValues.LHS, "rhs": m.FillValues.RHS},
	}
}

// preprocessor returns the name of the start() or end() of an @ modifier, nil if
// there is none.
func preprocessor(t parser.ItemType) any {
	if t == 0 {
		return nil
	}
	return t.String()
}

func list(ss []string) []string {
	if ss == nil {
		return []string{}
	}
	return ss
}
