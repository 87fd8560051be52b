package operators

import (
	"context"
	"sort"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/stats"

	"tsdb/query/steps"
)

// Recovered calls evaluate and converts a panic to an error.
func (f *Evaluation) Recovered(evaluate func() (parser.Value, error)) (v parser.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(f.log, r)
		}
	}()
	return evaluate()
}

// Answer evaluates a whole query of type typ on its grid. instant distinguishes an
// instant query from a range query with one step.
func (f *Evaluation) Answer(n Node, typ parser.ValueType, g steps.Grid, instant bool) (parser.Value, error) {
	switch typ {
	case parser.ValueTypeString:
		s, ok := n.(*stringNode)
		if !ok {
			return nil, Uncovered(ReasonExpression)
		}
		return promql.String{V: s.value, T: g.Start}, nil
	case parser.ValueTypeMatrix:
		n, ok := n.(interface {
			matrix(*Evaluation) (promql.Matrix, error)
		})
		if !ok {
			return nil, Uncovered(ReasonExpression)
		}
		m, err := n.matrix(f)
		if err != nil {
			return nil, err
		}
		if m, err = f.withoutNames(m); err != nil {
			return nil, err
		}
		return f.sorted(m), nil
	}
	if !instant && !f.DelayedNames {
		return f.Matrix(n, g)
	}
	t, err := f.table(n)
	if err != nil {
		return nil, err
	}
	if f.DelayedNames {
		if err := f.dropNames(t); err != nil {
			return nil, err
		}
	}
	if !instant {
		m, err := f.matrixOf(t, g)
		return f.sorted(m), err
	}
	if typ == parser.ValueTypeScalar {
		return promql.Scalar{V: t.cols[0].v[0], T: g.Start}, nil
	}
	vec := make(promql.Vector, len(t.cols))
	for i, c := range t.cols {
		s := promql.Sample{Metric: c.metric, T: g.Start, DropName: c.drop}
		if s.H = c.histogramAt(0); s.H == nil {
			s.F = c.v[0]
		}
		vec[i] = s
	}
	return vec, nil
}

// dropNames drops the names of a table's columns that are marked for that.
func (f *Evaluation) dropNames(t *table) (err error) {
	for i := range t.cols {
		if c := &t.cols[i]; c.drop {
			if err := f.takeFor(t, int64(c.metric.ByteSize())); err != nil {
				return err
			}
			c.metric = dropped(c.metric)
		}
	}
	t.cols, err = mergeEqual(f.mem, t.cols)
	return err
}

// withoutNames drops the names of a matrix's series that are marked for that.
func (f *Evaluation) withoutNames(m promql.Matrix) (promql.Matrix, error) {
	if !f.DelayedNames {
		return m, nil
	}
	for i := range m {
		if m[i].DropName {
			if err := f.mem.Reserve(int64(m[i].Metric.ByteSize())); err != nil {
				return nil, err
			}
			m[i].Metric = dropped(m[i].Metric)
		}
	}
	if m.ContainsSameLabelset() {
		return nil, Uncovered(ReasonExpression) // their points must be merged
	}
	return m, nil
}

// Matrix evaluates a node on its grid, column by column.
func (f *Evaluation) Matrix(n Node, g steps.Grid) (promql.Matrix, error) {
	src, err := f.open(n)
	if err != nil {
		return nil, err
	}
	defer src.close()
	m := promql.Matrix{}
	err = f.each(src, func(_ int, c *column) error {
		points := c.points()
		if points == 0 {
			return nil
		}
		if err := f.hold(points); err != nil {
			return err
		}
		if err := f.mem.Reserve(answerBytes(c.metric, points)); err != nil {
			return err
		}
		m = append(m, seriesOf(c, g))
		return nil
	})
	return f.sorted(m), err
}

// matrixOf converts the values of a table to points.
func (f *Evaluation) matrixOf(t *table, g steps.Grid) (promql.Matrix, error) {
	m := make(promql.Matrix, 0, len(t.cols))
	for i := range t.cols {
		c := &t.cols[i]
		points := c.points()
		if points == 0 {
			continue
		}
		if err := f.mem.Reserve(answerBytes(c.metric, points)); err != nil {
			return nil, err
		}
		m = append(m, seriesOf(c, g))
	}
	f.drop(t)
	return m, nil
}

// seriesOf converts the values of a column to points.
func seriesOf(c *column, g steps.Grid) promql.Series {
	s := promql.Series{Metric: c.metric, DropName: c.drop}
	floats := 0
	for _, v := range c.v {
		if !isAbsent(v) {
			floats++
		}
	}
	if floats > 0 {
		s.Floats = make([]promql.FPoint, 0, floats)
		for i, v := range c.v {
			if !isAbsent(v) {
				s.Floats = append(s.Floats, promql.FPoint{T: g.At(i), F: v})
			}
		}
	}
	for i, h := range c.h {
		if h != nil {
			s.Histograms = append(s.Histograms, promql.HPoint{T: g.At(i), H: h})
		}
	}
	return s
}

func (f *Evaluation) sorted(m promql.Matrix) promql.Matrix {
	t, _ := f.timers.GetSpanTimer(context.Background(), stats.ResultSortTime)
	sort.Sort(m)
	t.Finish()
	return m
}

// Reserve charges the answer's series, excluding labels, which are in the cache, and
// points.
func (f *Evaluation) Reserve(series, points int) error {
	if err := f.hold(points); err != nil {
		return err
	}
	return f.mem.Reserve(int64(series)*columnBytes + pointBytes*int64(points))
}

// IsQuiet reports whether the evaluation so far has added no annotations except those
// recorded by step, has read only floats and, if noTies is set, has broken no tie
// between equal values.
func (f *Evaluation) IsQuiet(noTies bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.annos.all) == 0 && !f.nonCounters.HasUndated() && f.querier.ReadFloatsOnly() && !(noTies && f.tied.Load())
}

// MatrixBytes returns the memory of an answer.
func MatrixBytes(m promql.Matrix) int64 {
	bytes := pointBytes * int64(m.TotalSamples())
	for i := range m {
		bytes += answerBytes(m[i].Metric, 0)
	}
	return bytes
}
