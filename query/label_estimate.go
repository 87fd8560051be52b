package query

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
	"tsdb/query/operators"
	"tsdb/storage"
)

// labelEstimate bounds and charges the labels that label_replace and label_join
// create on Prometheus' engine, which does neither. It estimates them from the
// expression and the lengths of the selected label values when series have been
// selected, before the engine creates any labels.
type labelEstimate struct {
	expr     parser.Expr
	maxBytes int // of a value
	mem      *admission.Tracker

	longest map[string]int // maximum length of a label's values in all series selected so far
	series  int64
	bytes   int64 // of their labels
	charged int64
}

// newLabelEstimate returns an estimate, or nil if an expression creates no labels.
func newLabelEstimate(expr parser.Expr, maxBytes int, mem *admission.Tracker) *labelEstimate {
	makes := false
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if c, ok := n.(*parser.Call); ok {
			makes = makes || c.Func.Name == "label_replace" || c.Func.Name == "label_join"
		}
		return nil
	})
	if !makes {
		return nil
	}
	return &labelEstimate{expr: expr, maxBytes: maxBytes, mem: mem, longest: make(map[string]int)}
}

// hook returns the method selected, or nil for a nil estimate.
func (m *labelEstimate) hook() func(*storage.SeriesSet) error {
	if m == nil {
		return nil
	}
	return m.selected
}

func literal(e parser.Expr) string { return e.(*parser.StringLiteral).Val }

// selected adds series to those selected so far. It returns an error if the labels
// created from all of them could be too long or take too much memory.
func (m *labelEstimate) selected(set *storage.SeriesSet) error {
	for i := range set.Len() {
		ls := set.At(i).Labels
		ls.Range(func(l labels.Label) { m.longest[l.Name] = max(m.longest[l.Name], len(l.Value)) })
		m.bytes += int64(ls.ByteSize())
	}
	if m.series += int64(set.Len()); m.series == 0 {
		return nil
	}
	made := int64(0)
	if _, err := m.lengths(m.expr, &made); err != nil {
		return err
	}
	if made <= m.charged {
		return nil
	}
	err := m.mem.Reserve(made - m.charged)
	if err == nil {
		m.charged = made
	}
	return err
}

// numberBytes is the maximum length of a float in decimal, which count_values uses
// as a label value.
const numberBytes = 330

// lengths returns the maximum lengths of the label values of an expression's series,
// by label name. Names that are missing have the lengths in longest. It adds the
// memory of all label sets created by the expression to made.
func (m *labelEstimate) lengths(expr parser.Expr, made *int64) (map[string]int, error) {
	all := make(map[string]int)
	call, ok := expr.(*parser.Call)
	for child := range parser.ChildrenIter(expr) {
		e, ok := child.(parser.Expr)
		if !ok {
			continue
		}
		of, err := m.lengths(e, made)
		if err != nil {
			return nil, err
		}
		for name, n := range of {
			all[name] = max(all[name], n)
		}
	}
	of := func(name string) int {
		if n, ok := all[name]; ok {
			return max(n, m.longest[name])
		}
		return m.longest[name]
	}
	switch e := expr.(type) {
	case *parser.AggregateExpr:
		if e.Op == parser.COUNT_VALUES {
			name := literal(e.Param)
			all[name] = max(all[name], numberBytes)
		}
	case *parser.VectorSelector: // absent() converts matchers to labels
		for _, l := range e.LabelMatchers {
			if l.Type == labels.MatchEqual {
				all[l.Name] = max(all[l.Name], len(l.Value))
			}
		}
	}
	if !ok {
		return all, nil
	}
	var dst string
	var n int
	switch call.Func.Name {
	case "label_replace":
		dst = literal(call.Args[1])
		n = operators.TemplateLength(literal(call.Args[2]), of(literal(call.Args[3])))
	case "label_join":
		dst = literal(call.Args[1])
		n = len(literal(call.Args[2])) * max(len(call.Args)-4, 0)
		for _, a := range call.Args[3:] {
			n += of(literal(a))
		}
	default:
		return all, nil
	}
	if n > m.maxBytes {
		return nil, admission.NewLabelValueError(dst, n, m.maxBytes)
	}
	all[dst] = max(all[dst], n)
	*made += m.bytes + m.series*int64(len(dst)+n)
	return all, nil
}
