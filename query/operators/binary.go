package operators

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/query/steps"
)

// NewBinary returns a binary operator.
func NewBinary(e *parser.BinaryExpr, l, r Node, g steps.Grid) Node {
	vector := func(e parser.Expr) bool { return e.Type() == parser.ValueTypeVector }
	switch lv, rv := vector(e.LHS), vector(e.RHS); {
	case lv && rv:
		if e.Op == parser.LAND || e.Op == parser.LOR || e.Op == parser.LUNLESS {
			return &setNode{g, l, r, e.Op, *e.VectorMatching}
		}
		return &joinNode{g, l, r, e, *e.VectorMatching}
	case lv:
		return withScalar(e, l, r, false, g)
	case rv:
		return withScalar(e, r, l, true, g)
	}
	return &scalarPairNode{g, l, r, scalarOperator(e.Op)}
}

// arithmetic holds the operators that compute a number from two.
var arithmetic = map[parser.ItemType]func(a, b float64) float64{
	parser.ADD:   func(a, b float64) float64 { return a + b },
	parser.SUB:   func(a, b float64) float64 { return a - b },
	parser.MUL:   func(a, b float64) float64 { return a * b },
	parser.DIV:   func(a, b float64) float64 { return a / b },
	parser.MOD:   math.Mod,
	parser.POW:   math.Pow,
	parser.ATAN2: math.Atan2,
}

// comparisons holds the operators that keep or drop a number.
var comparisons = map[parser.ItemType]func(a, b float64) bool{
	parser.EQLC: func(a, b float64) bool { return a == b },
	parser.NEQ:  func(a, b float64) bool { return a != b },
	parser.GTR:  func(a, b float64) bool { return a > b },
	parser.LSS:  func(a, b float64) bool { return a < b },
	parser.GTE:  func(a, b float64) bool { return a >= b },
	parser.LTE:  func(a, b float64) bool { return a <= b },
}

func scalarOperator(op parser.ItemType) func(a, b float64) float64 {
	if fn, ok := arithmetic[op]; ok {
		return fn
	}
	holds := comparisons[op]
	return func(a, b float64) float64 { return asNumber(holds(a, b)) }
}

func asNumber(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// operator is a binary operator on two values of either kind.
type operator struct {
	op         parser.ItemType
	returnBool bool
	pos        posrange.PositionRange
	fn         func(a, b float64) float64 // for an arithmetic operator
	holds      func(a, b float64) bool    // for a comparison
}

func operatorOf(e *parser.BinaryExpr) operator {
	return operator{e.Op, e.ReturnBool, e.PositionRange(), arithmetic[e.Op], comparisons[e.Op]}
}

// floats returns the result for two floats. keep is false if a comparison fails; the
// value of a comparison that holds is a.
func (o *operator) floats(a, b float64) (v float64, keep bool) {
	if o.fn != nil {
		return o.fn(a, b), true
	}
	keep = o.holds(a, b)
	if o.returnBool {
		return asNumber(keep), true
	}
	return a, keep
}

// number is a float, or a histogram if h is not nil.
type number struct {
	v float64
	h *histogram.FloatHistogram
}

// mixed returns the result if at least one of the values is a histogram, or the
// operator applies only to histograms. An error is either the reason for a missing
// result or an annotation of the result.
func (o *operator) mixed(a, b number) (r number, keep bool, err error) {
	kind := func(n number) string {
		if n.h != nil {
			return "histogram"
		}
		return "float"
	}
	refused := func() (number, bool, error) {
		return number{}, false, annotations.NewIncompatibleTypesInBinOpInfo(kind(a), parser.ItemTypeStr[o.op], kind(b), o.pos)
	}
	switch {
	case a.h == nil && b.h == nil:
		return refused() // floats cannot be trimmed
	case a.h == nil:
		if o.op != parser.MUL {
			return refused()
		}
		return number{h: b.h.Copy().Mul(a.v).Compact(0)}, true, nil
	case b.h == nil:
		switch o.op {
		case parser.MUL:
			return number{h: a.h.Copy().Mul(b.v).Compact(0)}, true, nil
		case parser.DIV:
			return number{h: a.h.Copy().Div(b.v).Compact(0)}, true, nil
		case parser.TRIM_UPPER:
			return number{h: a.h.Copy().TrimBuckets(b.v, true)}, true, nil
		case parser.TRIM_LOWER:
			return number{h: a.h.Copy().TrimBuckets(b.v, false)}, true, nil
		}
		return refused()
	}
	switch o.op {
	case parser.ADD, parser.SUB:
		return o.combine(a.h, b.h)
	case parser.EQLC, parser.NEQ:
		return number{h: a.h}, a.h.Equals(b.h) == (o.op == parser.EQLC), nil
	}
	return refused()
}

// combine adds or subtracts two histograms.
func (o *operator) combine(a, b *histogram.FloatHistogram) (number, bool, error) {
	op, combine := annotations.HistogramAdd, (*histogram.FloatHistogram).Add
	if o.op == parser.SUB {
		op, combine = annotations.HistogramSub, (*histogram.FloatHistogram).Sub
	}
	r, collision, reconciled, err := combine(a.Copy(), b)
	if err != nil {
		return number{}, false, err
	}
	if o.op == parser.SUB {
		r.CounterResetHint = histogram.GaugeType
	}
	switch {
	case collision:
		err = annotations.NewHistogramCounterResetCollisionWarning(o.pos, op)
	case reconciled:
		err = reconciledInfo{annotations.NewMismatchedCustomBucketsHistogramsInfo(o.pos, op)}
	}
	return number{h: r.Compact(0)}, true, err
}

// reconciledInfo is an annotation of a valid result.
type reconciledInfo struct{ error }

// annotateOperator adds the annotation for an error of an operator.
func (f *Evaluation) annotateOperator(o *operator, err error) {
	var info reconciledInfo
	switch {
	case errors.As(err, &info):
		f.annotate(info.error)
	case errors.Is(err, annotations.PromQLInfo), errors.Is(err, annotations.PromQLWarning):
		f.annotate(err)
	case errors.Is(err, histogram.ErrHistogramsIncompatibleSchema):
		f.annotate(annotations.NewIncompatibleBucketLayoutInBinOpWarning(parser.ItemTypeStr[o.op], o.pos))
	}
}

// withScalar plans an operator of a vector and a scalar. If swapped is set, the
// scalar is the left operand.
func withScalar(e *parser.BinaryExpr, vector, scalar Node, swapped bool, g steps.Grid) Node {
	o := operatorOf(e)
	apply := func(f *Evaluation, c *column, params [][]float64) {
		s := params[0]
		onlyFloats := o.fn != nil || o.holds != nil
		for i, v := range c.v {
			switch {
			case isAbsent(v):
				if h := c.histogramAt(i); h != nil {
					o.scalarWithHistogram(f, c, i, number{h: h}, number{v: s[i]}, swapped)
				}
			case !onlyFloats:
				o.scalarWithHistogram(f, c, i, number{v: v}, number{v: s[i]}, swapped)
			case swapped:
				r, keep := o.floats(s[i], v)
				if !keep {
					r = absent
				} else if o.holds != nil && !o.returnBool {
					r = v // a comparison keeps the vector's value
				}
				c.v[i] = r
			default:
				r, keep := o.floats(v, s[i])
				if !keep {
					r = absent
				}
				c.v[i] = r
			}
		}
	}
	return &mapNode{Grid: g, child: vector, params: []Node{scalar}, paramsFirst: swapped, apply: apply, drops: changesSchema(e.Op) || e.ReturnBool}
}

// scalarWithHistogram sets step i of c to the result unless both operands are floats.
func (o *operator) scalarWithHistogram(f *Evaluation, c *column, i int, v, s number, swapped bool) {
	a, b := v, s
	if swapped {
		a, b = s, v
	}
	r, keep, err := o.mixed(a, b)
	c.v[i] = absent
	if c.h != nil {
		c.h[i] = nil
	}
	if err != nil && !errors.Is(err, annotations.PromQLWarning) {
		f.annotateOperator(o, err)
		return
	}
	if o.holds != nil && swapped {
		r = v
	}
	switch {
	case o.returnBool:
		c.v[i] = asNumber(keep)
	case !keep:
	case r.h != nil:
		c.setHistogram(i, r.h)
	default:
		c.v[i] = r.v
	}
}

// changesSchema reports whether the result of an operator is a different metric from
// its operands.
func changesSchema(op parser.ItemType) bool { return arithmetic[op] != nil }
