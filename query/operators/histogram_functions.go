package operators

import (
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/query/admission"
	"tsdb/query/steps"
	"tsdb/query/window"
)

// bucketsNode is a function of native histograms and of the buckets of classic ones:
// histogram_quantile, histogram_quantiles and histogram_fraction.
type bucketsNode struct {
	steps.Grid
	child   Node
	arg     parser.Expr // the expression of child
	scalars []Node
	// scalarsFirst is set if the scalars precede the vector.
	scalarsFirst bool
	outputs      int // columns per histogram
	// begin is called once for each step before native and classic.
	begin func(f *Evaluation, params [][]float64, i int)
	// native and classic compute output k of a histogram at step i. name is the
	// metric name for annotations, empty if it has been dropped already.
	native  func(f *Evaluation, params [][]float64, i, k int, h *histogram.FloatHistogram, name string) float64
	classic func(f *Evaluation, params [][]float64, i, k int, b promql.Buckets, name string) float64
	// label returns the label of output k; nil for a single output.
	label func(params [][]float64, i, k int) labels.Label
}

// bucketsCheckInterval is the number of steps between context checks.
const bucketsCheckInterval = 1024

// classicHistogram is the series of one classic histogram.
type classicHistogram struct {
	metric  labels.Labels
	buckets []bucketColumn
}

const bucketBytes = 16 // of a bucketColumn; reserved twice because the list grows by doubling

type bucketColumn struct {
	bound float64
	*column
}

func (n *bucketsNode) table(f *Evaluation) (*table, error) {
	src, params, err := f.openWith(n.child, n.scalars, n.scalarsFirst)
	if err != nil {
		return nil, err
	}
	t, err := f.gather(src)
	if err != nil {
		return nil, err
	}
	for i := range n.N {
		n.begin(f, params, i)
	}
	held := admission.NewScratch(f.mem)
	defer held.Close()
	classic, keys, err := n.histograms(f, &held, t)
	if err != nil {
		return nil, err
	}
	out := &table{}
	b := outputs{Scratch: admission.NewScratch(f.mem), separate: f.DelayedNames && n.Instant}
	var sig []byte
	for ci := range t.cols {
		c := &t.cols[ci]
		if c.h == nil {
			continue
		}
		sig = c.metric.Bytes(sig)
		sameLabels := classic[string(sig)]
		for i, h := range c.h {
			if i%bucketsCheckInterval == 0 {
				if err := f.Check(); err != nil {
					return nil, err
				}
			}
			if h == nil {
				continue
			}
			if sameLabels != nil && sameLabels.removeAt(i) {
				f.annotate(annotations.NewMixedClassicNativeHistogramsWarning(n.nameOf(f, c.metric), n.arg.PositionRange()))
				continue
			}
			metric := c.metric
			if !f.DelayedNames {
				metric = dropped(metric)
			}
			name := metric.Get(nameLabel)
			for k := range n.outputs {
				v := n.native(f, params, i, k, h, name)
				if err := b.put(n.labelled(metric, params, i, k), n.N, i, v); err != nil {
					return nil, err
				}
			}
		}
	}
	var buckets promql.Buckets
	for _, key := range keys {
		hist := classic[key]
		name := n.nameOf(f, hist.metric)
		metric := hist.metric
		if !f.DelayedNames {
			metric = dropped(metric)
		}
		for i := range n.N {
			if i%bucketsCheckInterval == 0 {
				if err := f.Check(); err != nil {
					return nil, err
				}
			}
			for k := range n.outputs {
				buckets = buckets[:0]
				for _, bc := range hist.buckets {
					if v := bc.v[i]; !isAbsent(v) {
						buckets = append(buckets, promql.Bucket{UpperBound: bc.bound, Count: v})
					}
				}
				if len(buckets) == 0 {
					break
				}
				v := n.classic(f, params, i, k, buckets, name)
				if err := b.put(n.labelled(metric, params, i, k), n.N, i, v); err != nil {
					return nil, err
				}
			}
		}
	}
	f.drop(t)
	b.Close() // keep charges the columns again
	for _, c := range b.cols {
		c.drop = true
		if err := f.keep(out, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// nameOf returns the metric name for annotations. Prometheus omits it if names are
// dropped at once.
func (n *bucketsNode) nameOf(f *Evaluation, ls labels.Labels) string {
	if !f.DelayedNames {
		return ""
	}
	return ls.Get(nameLabel)
}

func (n *bucketsNode) labelled(ls labels.Labels, params [][]float64, i, k int) labels.Labels {
	if n.label == nil {
		return ls
	}
	l := n.label(params, i, k)
	b := labels.NewBuilder(ls)
	return b.Set(l.Name, l.Value).Labels()
}

// histograms groups the buckets of classic histograms and returns the histograms by
// key, and the keys in the order of their first buckets. It adds their memory to
// held.
func (n *bucketsNode) histograms(f *Evaluation, held *admission.Scratch, t *table) (map[string]*classicHistogram, []string, error) {
	classic := make(map[string]*classicHistogram)
	var keys []string
	var sig []byte
	for ci := range t.cols {
		if ci%bucketsCheckInterval == 0 {
			if err := f.Check(); err != nil {
				return nil, nil, err
			}
		}
		c := &t.cols[ci]
		if !slices.ContainsFunc(c.v, func(v float64) bool { return !isAbsent(v) }) {
			continue
		}
		le := c.metric.Get(labels.BucketLabel)
		bound, err := strconv.ParseFloat(le, 64)
		if err != nil {
			f.annotate(annotations.NewBadBucketLabelWarning(n.nameOf(f, c.metric), le, n.arg.PositionRange()))
			continue
		}
		sig = c.metric.BytesWithoutLabels(sig, labels.BucketLabel)
		hist, ok := classic[string(sig)]
		if !ok {
			if err := held.Reserve(columnBytes + 3*int64(len(sig))); err != nil { // two keys and the labels
				return nil, nil, err
			}
			metric := labels.NewBuilder(c.metric).Del(labels.BucketLabel).Labels()
			hist = &classicHistogram{metric: metric}
			classic[string(sig)] = hist
			keys = append(keys, string(sig))
		}
		if err := held.Reserve(2 * bucketBytes); err != nil {
			return nil, nil, err
		}
		hist.buckets = append(hist.buckets, bucketColumn{bound, c})
	}
	return classic, keys, nil
}

// removeAt removes the buckets at a step that also has a native histogram. It reports
// whether there were any.
func (h *classicHistogram) removeAt(i int) bool {
	any := false
	for _, b := range h.buckets {
		if !isAbsent(b.v[i]) {
			b.v[i] = absent
			any = true
		}
	}
	return any
}

// outputs gathers columns whose labels differ from step to step.
type outputs struct {
	admission.Scratch
	cols     []column
	byHash   map[uint64]int
	separate bool // keep columns with equal labels apart: they are not an error yet
}

// put sets step i of the column of n steps with the given labels.
func (o *outputs) put(metric labels.Labels, n, i int, v float64) error {
	if o.byHash == nil {
		o.byHash = make(map[uint64]int)
	}
	hash := metric.Hash()
	k, ok := o.byHash[hash]
	if !ok || o.separate {
		k = len(o.cols)
		o.byHash[hash] = k
		if err := o.Reserve(int64(columnBytes+entryBytes+valueBytes*n) + int64(metric.ByteSize())); err != nil {
			return err
		}
		c := column{metric: metric}
		c.reset(n)
		o.cols = append(o.cols, c)
	}
	if !isAbsent(o.cols[k].v[i]) {
		return errSameLabels
	}
	o.cols[k].v[i] = v
	return nil
}

func planHistogramQuantile(e *parser.Call, args []Node, g steps.Grid) (Node, error) {
	n := quantilesNode(g, args[1], e.Args[1], args[:1], e.Args[:1], e.Args[0], nil)
	n.scalarsFirst = true
	return n, nil
}

func planHistogramQuantiles(e *parser.Call, args []Node, g steps.Grid) (Node, error) {
	name := stringArg(e.Args[1])
	label := func(params [][]float64, i, k int) labels.Label {
		return labels.Label{Name: name, Value: labels.FormatOpenMetricsFloat(params[k][i])}
	}
	return quantilesNode(g, args[0], e.Args[0], args[2:], e.Args[2:], e.Args[0], label), nil
}

// quantilesNode plans quantiles of histograms. Annotations have the position of
// nativeArg for native histograms and of arg for classic ones.
func quantilesNode(g steps.Grid, child Node, arg parser.Expr, scalars []Node, scalarArgs parser.Expressions, nativeArg parser.Expr, label func([][]float64, int, int) labels.Label) *bucketsNode {
	return &bucketsNode{
		Grid: g, child: child, arg: arg, scalars: scalars, outputs: len(scalars), label: label,
		begin: func(f *Evaluation, params [][]float64, i int) {
			for k, a := range scalarArgs {
				if q := params[k][i]; window.BadQuantile(q) {
					f.annotate(annotations.NewInvalidQuantileWarning(q, a.PositionRange()))
				}
			}
		},
		native: func(f *Evaluation, params [][]float64, i, k int, h *histogram.FloatHistogram, name string) float64 {
			v, annos := promql.HistogramQuantile(params[k][i], h, name, nativeArg.PositionRange())
			f.annotateAll(annos)
			return v
		},
		classic: func(f *Evaluation, params [][]float64, i, k int, b promql.Buckets, name string) float64 {
			v, forced, _, lowest, highest, maxDiff := promql.BucketQuantile(params[k][i], b)
			if forced {
				f.annotate(annotations.NewHistogramQuantileForcedMonotonicityInfo(name, arg.PositionRange(), g.At(i), lowest, highest, maxDiff))
			}
			return v
		},
	}
}

func planHistogramFraction(e *parser.Call, args []Node, g steps.Grid) (Node, error) {
	return &bucketsNode{
		Grid: g, child: args[2], arg: e.Args[2], scalars: args[:2], scalarsFirst: true, outputs: 1,
		begin: func(*Evaluation, [][]float64, int) {},
		native: func(f *Evaluation, params [][]float64, i, _ int, h *histogram.FloatHistogram, name string) float64 {
			v, annos := promql.HistogramFraction(params[0][i], params[1][i], h, name, e.Args[0].PositionRange())
			f.annotateAll(annos)
			return v
		},
		classic: func(_ *Evaluation, params [][]float64, i, _ int, b promql.Buckets, _ string) float64 {
			return promql.BucketFraction(params[0][i], params[1][i], b)
		},
	}, nil
}
