package querytest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Generator generates random PromQL expressions over the series of Fill. They parse
// but need not make sense. The same seed generates the same expressions.
type Generator struct{ r *rand.Rand }

// NewGenerator returns a generator.
func NewGenerator(seed uint64) *Generator {
	return &Generator{rand.New(rand.NewPCG(seed, 17))}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// chance returns true with a probability of n percent.
func (g *Generator) chance(n int) bool { return g.r.IntN(100) < n }

// Expr returns an expression: usually a vector, rarely a scalar.
func (g *Generator) Expr() string {
	if g.chance(4) {
		return g.scalar(3)
	}
	return g.vector(1 + g.r.IntN(4))
}

var metricNames = []string{"requests_total", "requests_total", "gauge", "ints", "odd", "latency_bucket", "native", "native_custom", "mixed", "shortlived", "nosuch"}

func (g *Generator) duration() string {
	return pick(g.r, "15s", "1m", "90s", "2m", "5m", "10m", "17m3s", "1h")
}

// selector returns an instant selector without modifiers.
func (g *Generator) selector() string {
	name := pick(g.r, metricNames...)
	var ms []string
	if g.chance(35) {
		ms = append(ms, pick(g.r, `job="a"`, `job!="a"`, `job=~"a|b"`, `env!~"pro.*"`, `instance=~"[0-2]"`, `instance=""`, `env="dev"`))
	}
	if g.chance(5) {
		name, ms = "", append(ms, `__name__=~"gauge|ints|requests_.+"`)
	}
	if len(ms) == 0 {
		return name
	}
	return name + "{" + strings.Join(ms, ",") + "}"
}

func (g *Generator) modifiers() string {
	s := ""
	if g.chance(12) {
		s += " offset " + pick(g.r, "1m", "-2m", "7m", "1h")
	}
	if g.chance(8) {
		s += pick(g.r, " @ start()", " @ end()", " @ 1800", " @ 4000.5")
	}
	return s
}

// ranged returns a range selector or a subquery.
func (g *Generator) ranged(depth int) string {
	if depth > 1 && g.chance(18) {
		step := pick(g.r, "", "30s", "1m", "77s")
		return fmt.Sprintf("(%s)[%s:%s]%s", g.vector(depth-1), pick(g.r, "2m", "5m", "10m", "20m"), step, g.modifiers())
	}
	return g.selector() + "[" + g.duration() + "]" + g.modifiers()
}

func (g *Generator) number() string {
	return pick(g.r, "0", "1", "2", "-1", "0.5", "3.7", "100", "1e9", "NaN", "Inf", "-Inf", "0.95")
}

func (g *Generator) scalar(depth int) string {
	if depth <= 0 || g.chance(55) {
		return g.number()
	}
	switch g.r.IntN(5) {
	case 0:
		return "scalar(" + g.vector(depth-1) + ")"
	case 1:
		return "time()"
	case 2:
		return "pi()"
	default:
		op := pick(g.r, "+", "-", "*", "/", "%", "^", "== bool", "> bool", "<= bool", "atan2")
		return "(" + g.scalar(depth-1) + " " + op + " " + g.scalar(depth-1) + ")"
	}
}

var (
	overTimeFunctions = []string{
		"rate", "rate", "rate", "increase", "increase", "delta", "irate", "idelta", "deriv", "changes", "resets",
		"avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "last_over_time",
		"stddev_over_time", "stdvar_over_time", "present_over_time", "absent_over_time", "mad_over_time",
		"first_over_time", "ts_of_max_over_time", "ts_of_min_over_time", "ts_of_last_over_time", "ts_of_first_over_time",
	}
	mapFunctions = []string{
		"abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "sin", "cos", "atan", "deg", "rad", "round",
		"minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year", "timestamp",
		"histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar", "absent", "sort", "sort_desc",
	}
	aggregations = []string{"sum", "sum", "sum", "avg", "avg", "min", "max", "count", "group", "stddev", "stdvar"}
	ranks        = []string{"topk", "bottomk", "limitk", "quantile", "limit_ratio"}
	groupLabels  = []string{"job", "instance", "env", "le", "nosuch", "__name__"}
)

func (g *Generator) grouping() string {
	if g.chance(35) {
		return ""
	}
	n := g.r.IntN(3)
	var names []string
	for range n {
		names = append(names, pick(g.r, groupLabels...))
	}
	return pick(g.r, " by ", " by ", " without ") + "(" + strings.Join(names, ",") + ") "
}

// matching returns the vector matching of an operator.
func (g *Generator) matching(set bool) string {
	s := ""
	switch g.r.IntN(4) {
	case 0, 1:
		return s
	case 2:
		s = " on(" + pick(g.r, "job", "instance", "job,instance", "job,instance,env", "env", "") + ")"
	case 3:
		s = " ignoring(" + pick(g.r, "job", "env", "le", "env,le", "") + ")"
	}
	if !set && g.chance(40) {
		s += pick(g.r, " group_left(", " group_right(") + pick(g.r, "", "", "env", "nosuch") + ")"
	}
	if !set && g.chance(15) {
		s += pick(g.r, " fill(0)", " fill_left(1)", " fill_right(2)")
	}
	return s
}

func (g *Generator) vector(depth int) string {
	if depth <= 0 {
		return g.selector() + g.modifiers()
	}
	d := depth - 1
	switch n := g.r.IntN(100); {
	case n < 10:
		return g.selector() + g.modifiers()
	case n < 36:
		switch g.r.IntN(14) {
		case 0:
			return "quantile_over_time(" + g.scalar(1) + ", " + g.ranged(depth) + ")"
		case 1:
			return "predict_linear(" + g.ranged(depth) + ", " + g.scalar(1) + ")"
		case 2:
			return "double_exponential_smoothing(" + g.ranged(depth) + ", 0.4, 0.3)"
		case 3:
			return pick(g.r, "rate", "increase", "delta") + "(" + g.selector() + "[" + g.duration() + "]" + pick(g.r, " anchored", " smoothed") + ")"
		}
		return pick(g.r, overTimeFunctions...) + "(" + g.ranged(depth) + ")"
	case n < 56:
		return pick(g.r, aggregations...) + g.grouping() + "(" + g.vector(d) + ")"
	case n < 63:
		op := pick(g.r, ranks...)
		p := pick(g.r, "1", "2", "3", "5")
		if op == "quantile" || op == "limit_ratio" {
			p = pick(g.r, "0.5", "0.9", "0", "1", "-0.4")
		}
		if g.chance(8) {
			p = g.scalar(2)
		}
		return op + g.grouping() + "(" + p + ", " + g.vector(d) + ")"
	case n < 65:
		return "count_values" + g.grouping() + `("v", ` + g.vector(d) + ")"
	case n < 75:
		return pick(g.r, mapFunctions...) + "(" + g.vector(d) + ")"
	case n < 78:
		switch g.r.IntN(5) {
		case 0:
			return "clamp(" + g.vector(d) + ", " + g.scalar(1) + ", " + g.scalar(1) + ")"
		case 1:
			return "clamp_min(" + g.vector(d) + ", " + g.scalar(1) + ")"
		case 2:
			return "clamp_max(" + g.vector(d) + ", " + g.scalar(1) + ")"
		case 3:
			return "round(" + g.vector(d) + ", " + g.scalar(1) + ")"
		}
		return "vector(" + g.scalar(2) + ")"
	case n < 82:
		switch g.r.IntN(4) {
		case 0:
			return `label_join(` + g.vector(d) + `, "` + pick(g.r, "dst", "job", "__name__") + `", "-", "job", "instance")`
		case 1:
			return `sort_by_label(` + g.vector(d) + `, "instance")`
		}
		return `label_replace(` + g.vector(d) + `, "` + pick(g.r, "dst", "env", "__name__") + `", "x$1", "` + pick(g.r, "job", "instance", "env") + `", "(.*)")`
	case n < 87:
		switch g.r.IntN(4) {
		case 1:
			return "histogram_quantiles(" + g.histograms(d) + `, "q", 0.5, ` + g.scalar(1) + ")"
		case 0:
			return "histogram_fraction(" + g.scalar(1) + ", " + g.scalar(1) + ", " + g.histograms(d) + ")"
		default:
			return "histogram_quantile(" + pick(g.r, "0.5", "0.9", "0.99", "1", "2") + ", " + g.histograms(d) + ")"
		}
	case n < 89:
		return "-" + g.selector()
	case n < 94:
		op := pick(g.r, "+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "> bool", "== bool", "atan2")
		if g.chance(50) {
			return "(" + g.vector(d) + " " + op + " " + g.scalar(2) + ")"
		}
		return "(" + g.scalar(2) + " " + op + " " + g.vector(d) + ")"
	default:
		if g.chance(30) {
			op := pick(g.r, "and", "or", "unless")
			return "(" + g.vector(d) + " " + op + g.matching(true) + " " + g.vector(d) + ")"
		}
		op := pick(g.r, "+", "-", "*", "/", "==", "!=", ">", "<", "> bool")
		return "(" + g.vector(d) + " " + op + g.matching(false) + " " + g.vector(d) + ")"
	}
}

// histograms returns an expression for histogram functions.
func (g *Generator) histograms(depth int) string {
	switch g.r.IntN(4) {
	case 0:
		return g.vector(depth)
	case 1:
		return pick(g.r, "native", "native_custom", "latency_bucket", "rate(native[5m])")
	case 2:
		return "sum by (le" + pick(g.r, "", ",job") + ") (rate(latency_bucket[" + g.duration() + "]))"
	}
	return "rate(latency_bucket[" + g.duration() + "])"
}
