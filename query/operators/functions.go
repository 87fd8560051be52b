package operators

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/steps"
)

// functions holds the constructors of all functions except range functions. args are
// the planned arguments, nil for strings.
var functions map[string]func(e *parser.Call, args []Node, g steps.Grid) (Node, error)

func init() { // a composite literal would be an initialization cycle
	functions = map[string]func(e *parser.Call, args []Node, g steps.Grid) (Node, error){
		"vector": func(_ *parser.Call, args []Node, _ steps.Grid) (Node, error) { return args[0], nil },
		"scalar": func(_ *parser.Call, args []Node, g steps.Grid) (Node, error) {
			return &scalarNode{g, args[0]}, nil
		},
		"absent": func(e *parser.Call, args []Node, g steps.Grid) (Node, error) {
			return &absentNode{Grid: g, child: args[0], metric: absentLabels(e.Args[0])}, nil
		},
		"time": func(_ *parser.Call, _ []Node, g steps.Grid) (Node, error) {
			return &timeNode{g, func(s float64) float64 { return s }}, nil
		},
		"pi":        func(_ *parser.Call, _ []Node, g steps.Grid) (Node, error) { return &numberNode{g, math.Pi}, nil },
		"max_of":    planPair(math.Max),
		"min_of":    planPair(math.Min),
		"round":     planRound,
		"clamp":     planClamp(func(p [][]float64, i int) (float64, float64) { return p[0][i], p[1][i] }),
		"clamp_min": planClamp(func(p [][]float64, i int) (float64, float64) { return p[0][i], math.Inf(+1) }),
		"clamp_max": planClamp(func(p [][]float64, i int) (float64, float64) { return math.Inf(-1), p[0][i] }),
		"timestamp": func(_ *parser.Call, args []Node, g steps.Grid) (Node, error) {
			return &mapNode{Grid: g, child: args[0], apply: timesOf(g), drops: true}, nil
		},

		"label_replace":      planLabelReplace,
		"label_join":         planLabelJoin,
		"sort":               planSort,
		"sort_desc":          planSort,
		"sort_by_label":      planSort,
		"sort_by_label_desc": planSort,

		"histogram_count":     planOfHistogram(func(h *histogram.FloatHistogram) float64 { return h.Count }),
		"histogram_sum":       planOfHistogram(func(h *histogram.FloatHistogram) float64 { return h.Sum }),
		"histogram_avg":       planOfHistogram(func(h *histogram.FloatHistogram) float64 { return h.Sum / h.Count }),
		"histogram_stddev":    planOfHistogram(deviationOf("histogram_stddev")),
		"histogram_stdvar":    planOfHistogram(deviationOf("histogram_stdvar")),
		"histogram_quantile":  planHistogramQuantile,
		"histogram_quantiles": planHistogramQuantiles,
		"histogram_fraction":  planHistogramFraction,
	}
	for name, fn := range numberFunctions {
		functions[name] = func(_ *parser.Call, args []Node, g steps.Grid) (Node, error) {
			return &mapNode{Grid: g, child: args[0], apply: onFloats(fn), drops: true}, nil
		}
	}
	for name, fn := range dateFunctions {
		ofSeconds := func(s float64) float64 { return fn(time.Unix(int64(s), 0).UTC()) }
		functions[name] = func(_ *parser.Call, args []Node, g steps.Grid) (Node, error) {
			if len(args) == 0 {
				return &timeNode{g, ofSeconds}, nil
			}
			return &mapNode{Grid: g, child: args[0], apply: onFloats(ofSeconds), drops: true}, nil
		}
	}
}

// NewFunction returns a call of a function other than a range function. args are the
// planned arguments, nil for strings.
func NewFunction(e *parser.Call, args []Node, g steps.Grid) (Node, error) {
	build, ok := functions[e.Func.Name]
	if !ok {
		return nil, Uncovered(e.Func.Name)
	}
	return build(e, args, g)
}

var numberFunctions = map[string]func(float64) float64{
	"abs": math.Abs, "ceil": math.Ceil, "floor": math.Floor, "exp": math.Exp, "sqrt": math.Sqrt,
	"ln": math.Log, "log2": math.Log2, "log10": math.Log10,
	"sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "asin": math.Asin, "acos": math.Acos, "atan": math.Atan,
	"sinh": math.Sinh, "cosh": math.Cosh, "tanh": math.Tanh, "asinh": math.Asinh, "acosh": math.Acosh, "atanh": math.Atanh,
	"rad": func(v float64) float64 { return v * math.Pi / 180 },
	"deg": func(v float64) float64 { return v * 180 / math.Pi },
	"sgn": func(v float64) float64 {
		switch {
		case v < 0:
			return -1
		case v > 0:
			return 1
		}
		return v
	},
}

var dateFunctions = map[string]func(time.Time) float64{
	"minute":       func(t time.Time) float64 { return float64(t.Minute()) },
	"hour":         func(t time.Time) float64 { return float64(t.Hour()) },
	"day_of_week":  func(t time.Time) float64 { return float64(t.Weekday()) },
	"day_of_month": func(t time.Time) float64 { return float64(t.Day()) },
	"day_of_year":  func(t time.Time) float64 { return float64(t.YearDay()) },
	"month":        func(t time.Time) float64 { return float64(t.Month()) },
	"year":         func(t time.Time) float64 { return float64(t.Year()) },
	"days_in_month": func(t time.Time) float64 {
		return float64(time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day())
	},
}

func planPair(fn func(a, b float64) float64) func(*parser.Call, []Node, steps.Grid) (Node, error) {
	return func(_ *parser.Call, args []Node, g steps.Grid) (Node, error) {
		return &scalarPairNode{g, args[0], args[1], fn}, nil
	}
}

func planRound(_ *parser.Call, args []Node, g steps.Grid) (Node, error) {
	apply := func(_ *Evaluation, c *column, params [][]float64) {
		c.h = nil
		for i, v := range c.v {
			if isAbsent(v) {
				continue
			}
			inverse := 1.0
			if len(params) > 0 {
				inverse = 1 / params[0][i]
			}
			c.v[i] = math.Floor(v*inverse+0.5) / inverse
		}
	}
	return &mapNode{Grid: g, child: args[0], params: args[1:], apply: apply, drops: true}, nil
}

func planClamp(bounds func(params [][]float64, i int) (lowest, highest float64)) func(*parser.Call, []Node, steps.Grid) (Node, error) {
	return func(_ *parser.Call, args []Node, g steps.Grid) (Node, error) {
		apply := func(_ *Evaluation, c *column, params [][]float64) {
			c.h = nil
			for i, v := range c.v {
				if isAbsent(v) {
					continue
				}
				lowest, highest := bounds(params, i)
				if highest < lowest {
					c.v[i] = absent
					continue
				}
				c.v[i] = math.Max(lowest, math.Min(highest, v))
			}
		}
		return &mapNode{Grid: g, child: args[0], params: args[1:], apply: apply, drops: true}, nil
	}
}

// timesOf returns a function that sets every value to the time of its step, in
// seconds.
func timesOf(g steps.Grid) func(*Evaluation, *column, [][]float64) {
	return func(_ *Evaluation, c *column, _ [][]float64) {
		for i := range c.v {
			if c.has(i) {
				c.v[i] = float64(g.At(i)) / 1000
			}
		}
		c.h = nil
	}
}

// planOfHistogram plans a function that returns a number for each histogram.
func planOfHistogram(fn func(*histogram.FloatHistogram) float64) func(*parser.Call, []Node, steps.Grid) (Node, error) {
	return func(_ *parser.Call, args []Node, g steps.Grid) (Node, error) {
		apply := func(_ *Evaluation, c *column, _ [][]float64) {
			for i := range c.v {
				if h := c.histogramAt(i); h != nil {
					c.v[i] = fn(h)
				} else {
					c.v[i] = absent
				}
			}
			c.h = nil
		}
		nameOnly := func(ls labels.Labels) labels.Labels {
			return ls.DropReserved(func(n string) bool { return n == nameLabel })
		}
		return &mapNode{Grid: g, child: args[0], apply: apply, drops: true, strip: nameOnly}, nil
	}
}

// deviationOf returns Prometheus' function of the given name as a function of one
// histogram.
func deviationOf(name string) func(*histogram.FloatHistogram) float64 {
	call := promql.FunctionCalls[name]
	return func(h *histogram.FloatHistogram) float64 {
		out, _ := call([]promql.Vector{{{H: h}}}, nil, nil, &promql.EvalNodeHelper{})
		return out[0].F
	}
}

// scalarNode is scalar(): the value of a vector with exactly one float.
type scalarNode struct {
	steps.Grid
	child Node
}

func (n *scalarNode) table(f *Evaluation) (*table, error) {
	src, err := f.open(n.child)
	if err != nil {
		return nil, err
	}
	defer src.close()
	found := make([]int32, n.N)
	t, err := constant(f, n.Grid, func(int) float64 { return math.NaN() })
	if err != nil {
		return nil, err
	}
	out := t.cols[0].v
	err = f.each(src, func(_ int, c *column) error {
		for i, v := range c.v {
			if isAbsent(v) {
				continue
			}
			if found[i]++; found[i] == 1 {
				out[i] = v
			} else {
				out[i] = math.NaN()
			}
		}
		return nil
	})
	return t, err
}

// absentNode is absent() and absent_over_time(): 1 where a vector is empty.
type absentNode struct {
	steps.Grid
	child  Node
	metric labels.Labels
	drop   bool
}

func (n *absentNode) table(f *Evaluation) (*table, error) {
	src, err := f.open(n.child)
	if err != nil {
		return nil, err
	}
	defer src.close()
	c := column{metric: n.metric, drop: n.drop, v: make([]float64, n.N)}
	for i := range c.v {
		c.v[i] = 1
	}
	err = f.each(src, func(_ int, found *column) error {
		for i := range found.v {
			if found.has(i) {
				c.v[i] = absent
			}
		}
		return nil
	})
	t := &table{}
	if err == nil {
		err = f.keep(t, c)
	}
	return t, err
}

// absentLabels returns the labels of the result of absent(): those that a selector
// fixes by equality.
func absentLabels(e parser.Expr) labels.Labels {
	var ms []*labels.Matcher
	switch e := e.(type) {
	case *parser.VectorSelector:
		ms = e.LabelMatchers
	case *parser.MatrixSelector:
		ms = e.VectorSelector.(*parser.VectorSelector).LabelMatchers
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	seen := map[string]bool{nameLabel: true}
	for _, m := range ms {
		switch {
		case m.Name == nameLabel:
		case m.Type == labels.MatchEqual && !seen[m.Name]:
			b.Set(m.Name, m.Value)
			seen[m.Name] = true
		default:
			b.Del(m.Name)
		}
	}
	return b.Labels()
}
