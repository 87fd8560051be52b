package operators

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/kahansum"

	"tsdb/query/steps"
)

// aggregateNode contains the common fields of all aggregations.
type aggregateNode struct {
	steps.Grid
	child      Node
	param      Node // nil if there is none
	constParam bool // the parameter is a literal
	expr       *parser.AggregateExpr
	op         parser.ItemType
	by         groupBy
}

// NewAggregate returns an aggregation. param is the planned parameter, or nil if the
// aggregation has none or it is a string.
func NewAggregate(e *parser.AggregateExpr, child, param Node, g steps.Grid) (Node, error) {
	n := aggregateNode{Grid: g, child: child, param: param, expr: e, op: e.Op, by: groupBy{without: e.Without, names: slices.Clone(e.Grouping)}}
	slices.Sort(n.by.names)
	_, n.constParam = e.Param.(*parser.NumberLiteral)
	switch e.Op {
	case parser.SUM, parser.AVG, parser.MIN, parser.MAX, parser.COUNT, parser.GROUP, parser.STDDEV, parser.STDVAR:
		return &foldNode{n}, nil
	case parser.COUNT_VALUES:
		label := e.Param.(*parser.StringLiteral).Val
		if !n.by.without {
			n.by.names = append(n.by.names, label)
			slices.Sort(n.by.names)
		}
		return &countValuesNode{n, label}, nil
	case parser.QUANTILE:
		return &quantileNode{n}, nil
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return &rankNode{n}, nil
	}
	return nil, Uncovered(e.Op.String())
}

// pos returns the position in annotations about the samples.
func (n *aggregateNode) pos() posrange.PositionRange { return n.expr.Expr.PositionRange() }

// ignored adds the annotation for histograms ignored by an operator.
func (n *aggregateNode) ignored(f *Evaluation) {
	f.annotate(annotations.NewHistogramIgnoredInAggregationInfo(n.op.String(), n.pos()))
}

// foldNode is an aggregation that folds one series after another into groups, so
// that it holds only groups × steps in memory.
type foldNode struct{ aggregateNode }

// fold is the state of one group.
type fold struct {
	metric labels.Labels
	drop   bool
	last   int // last step at which a series had a value; drop is the mark of that step

	v, c  []float64 // the value so far (absent = none) and its rounding compensation
	count []float64 // avg, count, stddev and stdvar: number of values
	mean  []float64 // stddev, stdvar and, where the sum would overflow, avg
	moved []bool    // avg: steps at which mean is used; nil = none
	hist  []*histogramFold
}

func (n *foldNode) table(f *Evaluation) (*table, error) {
	src, err := f.open(n.child)
	if err != nil {
		return nil, err
	}
	defer src.close()
	groups := newGrouping(n.by, f.mem)
	defer groups.Close()
	var folds []*fold
	checked := 1 // number of groups at which memory is checked next
	err = f.each(src, func(_ int, c *column) error {
		first := c.first()
		if first == len(c.v) {
			return nil
		}
		k, fresh, err := groups.number(c.metric)
		if err != nil {
			return err
		}
		if fresh {
			if err := f.mem.Reserve(n.foldBytes()); err != nil {
				return err
			}
			g := n.newFold()
			g.metric = n.by.labels(groups.b, c.metric)
			folds = append(folds, g)
			if len(folds) == checked {
				checked += checked/4 + 1
				if err := n.checkMemory(f, folds); err != nil {
					return err
				}
			}
		}
		n.add(f, folds[k], c, first)
		return nil
	})
	if err != nil {
		return nil, err
	}
	t := &table{}
	f.mem.Release(int64(len(folds)) * n.foldBytes()) // keep charges them again
	for _, g := range folds {
		if err := f.keep(t, n.finish(f, g)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// checkMemory returns an error if the groups hold too many points, or take far more
// memory than their points.
func (n *foldNode) checkMemory(f *Evaluation, folds []*fold) error {
	cells := len(folds) * n.N
	if cells < min(f.MaxSamples, maxSparseCells) {
		return nil
	}
	points := 0
	for _, g := range folds {
		for _, v := range g.v {
			if !isAbsent(v) {
				points++
			}
		}
	}
	if err := f.hold(points); err != nil {
		return err
	}
	f.release(points)
	return f.checkSparse(cells, points)
}

// foldBytes returns the memory of a group of floats.
func (n *foldNode) foldBytes() int64 {
	values := 1
	switch n.op {
	case parser.SUM, parser.COUNT:
		values = 2
	case parser.AVG, parser.STDDEV, parser.STDVAR:
		values = 3
	}
	return int64(columnBytes + values*valueBytes*n.N)
}

func (n *foldNode) newFold() *fold {
	g := &fold{v: make([]float64, n.N), last: -1}
	for i := range g.v {
		g.v[i] = absent
	}
	switch n.op {
	case parser.SUM:
		g.c = make([]float64, n.N)
	case parser.AVG:
		g.c, g.count = make([]float64, n.N), make([]float64, n.N)
	case parser.COUNT:
		g.count = make([]float64, n.N)
	case parser.STDDEV, parser.STDVAR:
		g.count, g.mean = make([]float64, n.N), make([]float64, n.N)
	}
	return g
}

// add folds a column into its group. The column has no values before step first.
func (n *foldNode) add(f *Evaluation, g *fold, c *column, first int) {
	if slices.ContainsFunc(c.h, isHistogram) {
		n.addHistograms(f, g, c)
	}
	vs, acc := c.v[first:], g.v[first:]
	switch {
	case n.op == parser.SUM && g.hist == nil:
		addSum(acc, g.c[first:], vs)
	case n.op == parser.AVG && g.hist == nil:
		g.addMean(vs, first)
	case n.op == parser.SUM, n.op == parser.AVG:
		n.addMixed(f, g, c)
	case n.op == parser.MAX:
		for i, v := range vs {
			if !isAbsent(v) && (acc[i] < v || math.IsNaN(acc[i])) {
				acc[i] = v
			}
		}
	case n.op == parser.MIN:
		for i, v := range vs {
			if !isAbsent(v) && (acc[i] > v || math.IsNaN(acc[i])) {
				acc[i] = v
			}
		}
	case n.op == parser.COUNT && c.h == nil:
		count := g.count[first:]
		for i, v := range vs {
			if !isAbsent(v) {
				count[i]++
				acc[i] = count[i]
			}
		}
	case n.op == parser.COUNT:
		for i := range vs {
			if c.has(first + i) {
				g.count[first+i]++
				acc[i] = g.count[first+i]
			}
		}
	case n.op == parser.GROUP:
		for i := range vs {
			if c.has(first + i) {
				acc[i] = 1
			}
		}
	default:
		g.addDeviations(vs, first)
	}
	g.noteDrop(c)
}

// noteDrop records whether the name is to be dropped. As in Prometheus, the mark of
// the last step applies to the group.
func (g *fold) noteDrop(c *column) {
	last := len(c.v) - 1
	for last >= 0 && !c.has(last) {
		last--
	}
	if last > g.last {
		g.last, g.drop = last, c.drop
	} else if last == g.last {
		g.drop = g.drop || c.drop
	}
}

// addSum adds values to sums, each with its compensation: Neumaier's algorithm, as in
// kahansum.Inc. The rounding error of a sum is itself a float, so Knuth's algorithm
// to compute it, which needs no comparison, has the same result.
func addSum(sum, c, vs []float64) {
	const huge = 1e300 // far below values whose differences could overflow
	sum, c = sum[:len(vs)], c[:len(vs)]
	for i, v := range vs {
		s := sum[i]
		t := s + v
		if math.Abs(t) < huge { // then none of the three is absent
			b := t - s
			c[i] += (s - (t - b)) + (v - b)
			sum[i] = t
			continue
		}
		switch {
		case isAbsent(v):
		case isAbsent(s):
			sum[i] = v
		default:
			sum[i], c[i] = kahansum.Inc(v, s, c[i])
		}
	}
}

// addMean adds values from step first on to means.
func (g *fold) addMean(vs []float64, first int) {
	for i, v := range vs {
		if !isAbsent(v) {
			g.addToMean(first+i, v)
		}
	}
}

func (g *fold) addToMean(i int, v float64) {
	g.count[i]++
	n := g.count[i]
	if isAbsent(g.v[i]) {
		g.v[i] = v
		return
	}
	if g.moved == nil || !g.moved[i] {
		s, c := kahansum.Inc(v, g.v[i], g.c[i])
		if !math.IsInf(s, 0) {
			g.v[i], g.c[i] = s, c
			return
		}
		if g.moved == nil {
			g.moved, g.mean = make([]bool, len(g.v)), make([]float64, len(g.v))
		}
		g.moved[i] = true
		g.mean[i] = g.v[i] / (n - 1)
		g.c[i] /= n - 1
	}
	q := (n - 1) / n
	g.mean[i], g.c[i] = kahansum.Inc(v/n, q*g.mean[i], q*g.c[i])
}

// addDeviations adds values from step first on to the sums of squared differences
// from the mean.
func (g *fold) addDeviations(vs []float64, first int) {
	for i, v := range vs {
		if isAbsent(v) {
			continue
		}
		k := first + i
		g.count[k]++
		if isAbsent(g.v[k]) {
			g.mean[k], g.v[k] = v, 0
			if math.IsNaN(v) || math.IsInf(v, 0) {
				g.v[k] = math.NaN()
			}
			continue
		}
		delta := v - g.mean[k]
		g.mean[k] += delta / g.count[k]
		g.v[k] += delta * (v - g.mean[k])
	}
}

// addHistograms handles a column's histograms for all operators except sum and avg,
// which add them up in addMixed.
func (n *foldNode) addHistograms(f *Evaluation, g *fold, c *column) {
	switch n.op {
	case parser.SUM, parser.AVG:
		if g.hist == nil {
			g.hist = make([]*histogramFold, n.N)
			for i, v := range g.v {
				if !isAbsent(v) {
					g.hist[i] = &histogramFold{hasFloat: true}
				}
			}
		}
	case parser.COUNT, parser.GROUP:
	default:
		n.ignored(f)
		c.h = nil
	}
}

// finish returns the column of a group.
func (n *foldNode) finish(f *Evaluation, g *fold) column {
	c := column{metric: g.metric, drop: g.drop, v: g.v}
	for i, v := range g.v {
		if isAbsent(v) {
			continue
		}
		switch n.op {
		case parser.SUM:
			c.v[i] = v + g.c[i]
		case parser.AVG:
			if g.moved != nil && g.moved[i] {
				c.v[i] = g.mean[i] + g.c[i]
			} else {
				c.v[i] = v/g.count[i] + g.c[i]/g.count[i]
			}
		case parser.STDVAR:
			c.v[i] = v / g.count[i]
		case parser.STDDEV:
			c.v[i] = math.Sqrt(v / g.count[i])
		}
	}
	for i, h := range g.hist {
		if h == nil || !h.hasHistogram {
			continue
		}
		c.v[i] = absent
		if r := n.finishHistogram(f, h); r != nil {
			c.setHistogram(i, r)
		}
	}
	return c
}
