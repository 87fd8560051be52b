package operators

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/query/steps"
)

// mapNode changes each column independently: a function of one vector, or an operator
// with a scalar.
type mapNode struct {
	steps.Grid
	child  Node
	params []Node // scalars
	// paramsFirst is set if the scalars precede the vector. The order matters
	// because the annotation of the argument evaluated last is kept.
	paramsFirst bool
	// apply changes the values of a column; params are the scalars, one value per
	// step. nil = the values are unchanged.
	apply func(f *Evaluation, c *column, params [][]float64)
	drops bool // the metric name is dropped
	// strip drops the name at once; nil = the function dropped.
	strip func(labels.Labels) labels.Labels
}

func (n *mapNode) open(f *Evaluation) (columnSource, error) {
	src, scalars, err := f.openWith(n.child, n.params, n.paramsFirst)
	if err != nil {
		return nil, err
	}
	s := &mapSource{mapNode: n, f: f, src: src, scalars: scalars}
	if !n.drops || f.DelayedNames {
		return s, nil
	}
	if distinct, err := f.staysDistinct(src); err != nil || distinct {
		return s, err
	}
	t, err := f.gather(s)
	if err != nil {
		return nil, err
	}
	if t.cols, err = mergeEqual(f.mem, t.cols); err != nil {
		return nil, err
	}
	return &tableSource{f: f, t: t}, nil
}

// openWith opens a node and evaluates scalars, before the node if scalarsFirst is set,
// otherwise after it.
func (f *Evaluation) openWith(n Node, scalars []Node, scalarsFirst bool) (src columnSource, values [][]float64, err error) {
	if !scalarsFirst {
		if src, err = f.open(n); err != nil {
			return nil, nil, err
		}
	}
	for _, s := range scalars {
		v, err := f.scalar(s)
		if err != nil {
			return nil, nil, err
		}
		values = append(values, v)
	}
	if scalarsFirst {
		src, err = f.open(n)
	}
	return src, values, err
}

type mapSource struct {
	*mapNode
	f       *Evaluation
	src     columnSource
	scalars [][]float64
}

func (s *mapSource) len() int       { return s.src.len() }
func (s *mapSource) distinct() bool { return true }
func (s *mapSource) close()         { s.src.close() }

func (s *mapSource) labels(i int) (labels.Labels, bool) { return s.renamed(s.src.labels(i)) }

func (s *mapSource) renamed(ls labels.Labels, drop bool) (labels.Labels, bool) {
	switch {
	case !s.drops:
		return ls, drop
	case s.f.DelayedNames:
		return ls, true
	case s.strip != nil:
		return s.strip(ls), true
	}
	return dropped(ls), true
}

func (s *mapSource) column(w *worker, i int, c *column) error {
	if err := s.src.column(w, i, c); err != nil {
		return err
	}
	c.metric, c.drop = s.renamed(c.metric, c.drop)
	if s.apply != nil {
		s.apply(s.f, c, s.scalars)
	}
	return nil
}

// onFloats returns a function of columns that applies fn to floats and removes
// histograms.
func onFloats(fn func(float64) float64) func(*Evaluation, *column, [][]float64) {
	return func(_ *Evaluation, c *column, _ [][]float64) {
		c.h = nil
		for i, v := range c.v {
			if !isAbsent(v) {
				c.v[i] = fn(v)
			}
		}
	}
}

// NewNegation returns the negation of an expression.
func NewNegation(g steps.Grid, child Node) Node {
	return &mapNode{Grid: g, child: child, apply: negate, drops: true}
}

// negate negates the values of a column.
func negate(_ *Evaluation, c *column, _ [][]float64) {
	for i, v := range c.v {
		if !isAbsent(v) {
			c.v[i] = -v
		}
	}
	if c.h == nil {
		return
	}
	for i, h := range c.h {
		if h != nil {
			c.h[i] = h.Copy().Mul(-1)
		}
	}
}

// invariantNode repeats the value that an expression has at the first step.
type invariantNode struct {
	steps.Grid
	child Node
}

// NewInvariant returns an expression with the same value at every time of the grid.
// child is planned for the first time.
func NewInvariant(g steps.Grid, child Node) Node { return &invariantNode{g, child} }

func (n *invariantNode) table(f *Evaluation) (*table, error) {
	once := f.separate()
	t, err := once.table(n.child)
	if err != nil {
		return nil, err
	}
	f.count.repeat(once.count, n.N)
	f.drop(t)
	for i := range t.cols {
		c := &t.cols[i]
		if err := f.takeFor(t, int64(columnBytes+valueBytes*n.N)+int64(c.metric.ByteSize())); err != nil {
			return nil, err
		}
		v, h := c.v[0], c.histogramAt(0)
		c.v, c.h = make([]float64, n.N), nil
		for k := range c.v {
			c.v[k] = v
			if h != nil {
				c.setHistogram(k, h)
			}
		}
		points := c.points()
		t.weight += points
		if err := f.hold(points); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// constant returns a table of one column without labels.
func constant(f *Evaluation, g steps.Grid, value func(i int) float64) (*table, error) {
	c := column{v: make([]float64, g.N)}
	for i := range c.v {
		c.v[i] = value(i)
	}
	t := &table{}
	return t, f.keepCounted(t, c, g.N)
}

// numberNode is a literal.
type numberNode struct {
	steps.Grid
	value float64
}

func (n *numberNode) table(f *Evaluation) (*table, error) {
	return constant(f, n.Grid, func(int) float64 { return n.value })
}

func NewNumber(g steps.Grid, v float64) Node { return &numberNode{g, v} }

// stringNode is a string literal that is the whole query. String arguments are read
// where they are used.
type stringNode struct {
	steps.Grid
	value string
}

func NewString(g steps.Grid, s string) Node { return &stringNode{g, s} }

// timeNode is a function of the evaluation time in seconds.
type timeNode struct {
	steps.Grid
	of func(seconds float64) float64
}

func (n *timeNode) table(f *Evaluation) (*table, error) {
	return constant(f, n.Grid, func(i int) float64 { return n.of(float64(n.At(i)) / 1000) })
}

// scalarPairNode is a function or operator of two scalars.
type scalarPairNode struct {
	steps.Grid
	a, b Node
	fn   func(a, b float64) float64
}

func (n *scalarPairNode) table(f *Evaluation) (*table, error) {
	a, err := f.scalar(n.a)
	if err != nil {
		return nil, err
	}
	b, err := f.scalar(n.b)
	if err != nil {
		return nil, err
	}
	return constant(f, n.Grid, func(i int) float64 { return n.fn(a[i], b[i]) })
}
