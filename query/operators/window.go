package operators

import (
	"slices"
	"sync/atomic"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/query/admission"
	"tsdb/query/source"
	"tsdb/query/steps"
)

// windows says which samples belong to which step of a range function: those
// with seen - width + lag < t ≤ seen + lag.
type windows struct {
	steps.Grid
	Moment
	width int64 // milliseconds
	lag   int64 // milliseconds; > 0 only if samples after the window are looked at
}

// points is what a window function looks at: the samples of one series, stale
// markers taken out, and where the window of each step lies. A kernel reads
// nothing else, so that something other than samples can take their place.
type points struct {
	*windows
	*windowBounds
	t             []int64
	v             []float64
	rising        bool        // as that of a span
	integralBits  int         // as that of a span
	samplesBefore []int64     // how many samples all before each stand for; nil if that is their number
	params        [][]float64 // the scalar arguments, a value a step

	host   kernelHost
	deque  []int32   // scratch
	sort   []float64 // scratch
	weight []int64   // scratch of heavy
	sums   []int64   // scratch
}

// kernelHost is what a kernel may ask for.
type kernelHost interface {
	check() error           // to be asked now and then by what takes long
	warnQuantile(q float64) // tells of a quantile that is none
}

// A windowKernel sets out[i] to the value of each window that is not empty.
type windowKernel func(p *points, out []float64) error

// windowScratch is the memory of a worker for range functions.
type windowScratch struct {
	points     points
	cut, hcut  windowBounds
	aggregated aggregateScratch
	t          []int64
	v          []float64
	floats     []promql.FPoint
	histograms []promql.HPoint
	starts     promql.StartTimestamps
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// rangeInput gives the samples that a range function looks at, series by
// series.
type rangeInput interface {
	open(f *Evaluation, g steps.Grid) (rangeSeries, error)
}

type rangeSeries interface {
	len() int
	labels(i int) (labels.Labels, bool)
	distinct() bool
	// load reads the samples of series i; they are valid until the next load
	// of the same worker.
	load(w *worker, i int) (sampleColumns, error)
	close()
}

// sampleColumns is the samples of one series, in columns, rising in time.
type sampleColumns struct {
	t  []int64
	v  []float64
	st []int64                     // start timestamps, or empty
	h  []*histogram.FloatHistogram // or empty; nil where the sample is a float
	// stale reports whether some of them may be stale markers.
	stale bool
	// rising says that no value is below the one before, nor a NaN.
	rising bool
	// integralBits, unless it is 0, says that all values are whole numbers, none of them
	// a stale marker, and below 2^whole ≤ 2^53 in magnitude.
	integralBits int
	// shared says that t is never changed: other series may have the same.
	shared bool
	// weights, if there are any, say how many samples each stands for.
	weights []int32
	// counted says that reading them has been counted elsewhere.
	counted bool
}

// rangeNode is a function of a range.
type rangeNode struct {
	windows
	name      string
	expr      *parser.Call
	rangeMs   int64
	input     rangeInput
	params    []Node             // the scalar arguments
	args      parser.Expressions // as Prometheus' functions want them
	kernel    windowKernel       // nil: there is none
	call      promql.FunctionCall
	keepsName bool

	startTimestamps bool // the function looks at start timestamps
}

// RangeCall is a call of a function of a range.
type RangeCall struct {
	Call    *parser.Call
	Arg     int                    // the index of the range among the arguments
	Matrix  *parser.MatrixSelector // the range as Prometheus' functions want it
	Grid    steps.Grid
	RangeMs int64
	Lead    int64  // milliseconds before the range that are read
	Lag     int64  // milliseconds after the range that are read
	Params  []Node // the other arguments

	StartTimestamps bool // rates use start timestamps

	moment Moment
	input  rangeInput
}

// ReadStored makes the samples of a selector the input. whole, if it has times, is
// the grid of which the call's is a part: series are selected for all of it.
func (r *RangeCall) ReadStored(s Selector, whole steps.Grid) {
	s.window += r.Lead
	s.setRange(r.Grid)
	s.tr.Max += r.Lag
	if whole.N > 0 {
		of := s
		of.setRange(whole)
		s.look = model.TimeRange{Min: of.tr.Min, Max: of.tr.Max + r.Lag}
	}
	r.moment, r.input = s.Moment, &storedInput{selector: s}
}

// ReadSubquery makes the values of a subquery the input.
func (r *RangeCall) ReadSubquery(q *Subquery, m Moment, offset int64) {
	r.moment, r.input = m, &subqueryInput{node: q, offset: offset, rangeMs: r.RangeMs}
}

// NewRange returns a function of a range.
func NewRange(r RangeCall) (Node, error) {
	n := &rangeNode{
		windows: windows{Grid: r.Grid, Moment: r.moment, width: r.RangeMs + r.Lead + r.Lag, lag: r.Lag},
		name:    r.Call.Func.Name, expr: r.Call, rangeMs: r.RangeMs, input: r.input, params: r.Params,
		args: slices.Clone(r.Call.Args),
	}
	n.args[r.Arg] = r.Matrix
	vs := r.Matrix.VectorSelector.(*parser.VectorSelector)
	if k, ok := windowKernels[n.name]; ok && !vs.Smoothed && !vs.Anchored {
		n.kernel = k
	}
	n.call = promql.FunctionCalls[n.name]
	if n.call == nil {
		return nil, Uncovered(n.name)
	}
	n.keepsName = n.name == "last_over_time" || n.name == "first_over_time"
	switch n.name {
	case "rate", "irate", "increase", "resets":
		n.startTimestamps = r.StartTimestamps
	}
	if n.name == "absent_over_time" {
		return &absentNode{Grid: r.Grid, child: n, metric: absentLabels(n.args[0]), drop: true}, nil
	}
	return n, nil
}

func (n *rangeNode) open(f *Evaluation) (columnSource, error) {
	in, err := n.input.open(f, n.Grid)
	if err != nil {
		return nil, err
	}
	if stored, ok := in.(*storedSeries); ok && n.kernel != nil && n.holdChunks() {
		if of, ok := chunkAggregates[n.name]; ok {
			in = &aggregatedSeries{storedSeries: stored, windows: &n.windows, of: of}
		}
	}
	s := &rangeSource{rangeNode: n, f: f, in: in}
	for _, p := range n.params {
		v, err := f.scalar(p)
		if err != nil {
			return nil, err
		}
		s.scalars = append(s.scalars, v)
	}
	if f.DelayedNames || n.keepsName || n.name == "absent_over_time" {
		return s, nil
	}
	if distinct, err := f.staysDistinct(in); err != nil || distinct {
		return s, err
	}
	// Without their names, series can be equal: that is an error if both have
	// a value, at the same step or not.
	if f.divided {
		return nil, steps.ErrIndivisible
	}
	t, err := f.gather(s)
	if err != nil {
		return nil, err
	}
	hashes := admission.NewScratch(f.mem)
	defer hashes.Close()
	if err := hashes.Reserve(entryBytes * int64(len(t.cols))); err != nil {
		return nil, err
	}
	if anyEqual(t.cols) {
		return nil, errSameLabels
	}
	return &tableSource{f: f, t: t}, nil
}

// staysDistinct reports whether series with distinct labels are still distinct
// when their names are dropped.
func (f *Evaluation) staysDistinct(s interface {
	len() int
	labels(i int) (labels.Labels, bool)
	distinct() bool
}) (bool, error) {
	if s.len() < 2 {
		return true, nil
	}
	if !s.distinct() {
		return false, nil
	}
	hashes := admission.NewScratch(f.mem)
	defer hashes.Close()
	// One name without what goes with it cannot make two series equal; for
	// others their hashes tell.
	var (
		name string
		buf  []byte
		seen map[uint64]struct{}
	)
	for i := range s.len() {
		if i%1024 == 0 {
			if err := f.Check(); err != nil {
				return false, err
			}
		}
		ls, _ := s.labels(i)
		if seen == nil {
			n := ls.Get(nameLabel)
			if i == 0 {
				name = n
			}
			if n == name && !ls.Has(typeLabel) && !ls.Has(unitLabel) {
				continue
			}
			if err := hashes.Reserve(entryBytes * int64(s.len())); err != nil {
				return false, err
			}
			seen = make(map[uint64]struct{}, s.len())
			for k := range i {
				ls, _ := s.labels(k)
				var h uint64
				h, buf = ls.HashWithoutLabels(buf, typeLabel, unitLabel)
				seen[h] = struct{}{}
			}
		}
		var h uint64
		h, buf = ls.HashWithoutLabels(buf, typeLabel, unitLabel)
		if _, ok := seen[h]; ok {
			return false, nil
		}
		seen[h] = struct{}{}
	}
	return true, nil
}

// The label of the metric name, and those that go with it.
const (
	nameLabel = commonmodel.MetricNameLabel
	typeLabel = commonmodel.MetricTypeLabel
	unitLabel = commonmodel.MetricUnitLabel
)

// dropped returns labels without the name and what goes with it.
func dropped(ls labels.Labels) labels.Labels { return ls.DropReserved(schema.IsMetadataLabel) }

type rangeSource struct {
	*rangeNode
	f       *Evaluation
	in      rangeSeries
	scalars [][]float64
	noted   atomic.Pointer[metricSteps] // what noteName noted last
	cuts    boundsCache
}

func (s *rangeSource) len() int { return s.in.len() }

func (s *rangeSource) labels(i int) (labels.Labels, bool) {
	ls, drop := s.in.labels(i)
	drop = drop || !s.keepsName
	if drop && !s.f.DelayedNames {
		ls = dropped(ls)
	}
	return ls, drop
}

// distinct: whether equal labels are an error has been seen to in open.
func (s *rangeSource) distinct() bool { return true }
func (s *rangeSource) close()         { s.in.close() }

func (s *rangeSource) column(w *worker, i int, c *column) error {
	c.metric, c.drop = s.labels(i)
	c.reset(s.Grid.N)
	in, err := s.in.load(w, i)
	if err != nil || len(in.t) == 0 {
		return err
	}
	if len(in.h) > 0 || s.startTimestamps && len(in.st) > 0 || s.kernel == nil {
		err = s.callEach(w, i, in, c)
	} else {
		err = s.runKernel(w, in, c)
	}
	if err == nil && (s.name == "rate" || s.name == "increase") {
		err = s.noteName(i, c)
	}
	return err
}

// runKernel evaluates all windows of a series of floats.
func (s *rangeSource) runKernel(w *worker, in sampleColumns, c *column) error {
	p := &w.windows.points
	if in.stale {
		in = w.windows.dropStale(in)
	}
	p.windows, p.t, p.v, p.rising, p.integralBits, p.params, p.host = &s.windows, in.t, in.v, in.rising, in.integralBits, s.scalars, s
	p.windowBounds = s.cuts.of(&s.windows, in, &w.windows.cut)
	p.samplesBefore = nil
	if len(in.weights) > 0 {
		p.weigh(in.weights)
	}
	s.tally(w, p, in.counted)
	if err := s.f.hold(p.widest); err != nil {
		return err
	}
	defer s.f.release(p.widest)
	return s.kernel(p, c.v)
}

// dropStale takes the stale markers out of a span of floats.
func (w *windowScratch) dropStale(in sampleColumns) sampleColumns {
	if in.rising = risesThroughout(in.v); in.rising {
		return in
	}
	first := firstStale(in.v)
	if first == len(in.v) {
		return in
	}
	w.t, w.v = append(w.t[:0], in.t[:first]...), append(w.v[:0], in.v[:first]...)
	for i := first; i < len(in.v); i++ {
		if !value.IsStaleNaN(in.v[i]) {
			w.t, w.v = append(w.t, in.t[i]), append(w.v, in.v[i])
		}
	}
	in.t, in.v, in.shared = w.t, w.v, false
	return in
}

// risesThroughout reports that no value is below the one before, nor a NaN.
func risesThroughout(vs []float64) bool {
	if len(vs) == 0 {
		return true
	}
	before := vs[0]
	for _, v := range vs {
		if !(v >= before) {
			return false
		}
		before = v
	}
	return true
}

// firstStale returns the index of the first stale marker, len(vs) if there is
// none. A sum is a NaN if a part is, so four values are asked at once.
func firstStale(vs []float64) int {
	i := 0
	for ; i+4 <= len(vs); i += 4 {
		q := vs[i : i+4 : i+4]
		if s := q[0] + q[1] + q[2] + q[3]; s != s {
			for k, v := range q {
				if value.IsStaleNaN(v) {
					return i + k
				}
			}
		}
	}
	for ; i < len(vs); i++ {
		if value.IsStaleNaN(vs[i]) {
			return i
		}
	}
	return len(vs)
}

// weigh notes how many samples each of the points stands for.
func (p *points) weigh(weights []int32) {
	p.weight = resize(p.weight, len(weights)+1)
	p.samplesBefore = p.weight
	n := int64(0)
	for k, w := range weights {
		p.samplesBefore[k] = n
		n += int64(w)
	}
	p.samplesBefore[len(weights)] = n
}

// samples returns how many samples the points lo ≤ k < hi stand for.
func (p *points) samples(lo, hi int32) int64 {
	if p.samplesBefore == nil {
		return int64(hi - lo)
	}
	return p.samplesBefore[hi] - p.samplesBefore[lo]
}

// tally counts the samples of the windows. Each step counts as read what the
// step before did not see.
func (s *rangeSource) tally(w *worker, p *points, counted bool) {
	c := p.windowBounds
	s.f.count.steps(&w.tally, s.Grid.N)
	if p.samplesBefore == nil {
		w.tally.total += c.total
	} else { // the cut may be that of others, too, which stand for fewer
		for i, lo := range c.lo {
			w.tally.total += p.samples(lo, c.hi[i])
		}
	}
	if !counted {
		w.tally.read += c.read
	}
	if w.tally.totals == nil {
		return
	}
	since := int32(0)
	for i, lo := range c.lo {
		w.tally.totals[i] += p.samples(lo, c.hi[i])
		if !counted {
			w.tally.reads[i] += int64(c.hi[i] - max(since, lo))
		}
		since = c.hi[i]
	}
}

// callEach evaluates the windows of a series with Prometheus' function, one by
// one: native histograms, start timestamps and modifiers are too rare to be
// worth a second implementation.
func (s *rangeSource) callEach(w *worker, i int, in sampleColumns, c *column) error {
	sc := &w.windows
	var starts *promql.StartTimestamps
	if s.startTimestamps {
		starts = &sc.starts
		starts.Floats, starts.Histograms = starts.Floats[:0], starts.Histograms[:0]
	}
	sc.floats, sc.histograms = sc.floats[:0], sc.histograms[:0]
	sc.t = sc.t[:0]
	var ht []int64
	for k, t := range in.t {
		st := int64(0)
		if len(in.st) > 0 {
			st = in.st[k]
		}
		switch {
		case len(in.h) > 0 && in.h[k] != nil:
			if value.IsStaleNaN(in.h[k].Sum) {
				continue
			}
			sc.histograms = append(sc.histograms, promql.HPoint{T: t, H: in.h[k]})
			ht = append(ht, t)
			if starts != nil {
				starts.Histograms = append(starts.Histograms, st)
			}
		case !value.IsStaleNaN(in.v[k]):
			sc.floats = append(sc.floats, promql.FPoint{T: t, F: in.v[k]})
			sc.t = append(sc.t, t)
			if starts != nil {
				starts.Floats = append(starts.Floats, st)
			}
		}
	}
	n := s.Grid.N
	sc.cut.find(&s.windows, sc.t)
	sc.hcut.find(&s.windows, ht)
	weights := make([]int64, len(sc.histograms)+1) // of all before
	for k, h := range sc.histograms {
		weights[k+1] = weights[k] + int64(pointsOf(h.H))
	}
	s.f.count.steps(&w.tally, n)

	metric, _ := s.in.labels(i)
	matrix := promql.Matrix{{Metric: metric}}
	params := make([]promql.Vector, len(s.scalars))
	for j := range params {
		params[j] = promql.Vector{{}}
	}
	enh := &promql.EvalNodeHelper{Out: make(promql.Vector, 0, 1)}
	held := 0
	defer func() { s.f.release(held) }()
	var fresh, hfresh int32
	for k := range n {
		if err := s.f.Check(); err != nil {
			return err
		}
		lo, hi, hlo, hhi := sc.cut.lo[k], sc.cut.hi[k], sc.hcut.lo[k], sc.hcut.hi[k]
		if lo == hi && hlo == hhi {
			continue
		}
		size := int64(hi-lo) + weights[hhi] - weights[hlo]
		if int(size) > held {
			if err := s.f.hold(int(size) - held); err != nil {
				held = int(size)
				return err
			}
			held = int(size)
		}
		read := int64(hi-max(lo, fresh)) + weights[hhi] - weights[max(hlo, hfresh)]
		fresh, hfresh = max(fresh, hi), max(hfresh, hhi)
		if in.counted {
			read = 0
		}
		w.tally.at(k, size, read)

		matrix[0].Floats, matrix[0].Histograms = sc.floats[lo:hi], sc.histograms[hlo:hhi]
		for j := range params {
			params[j][0].F = s.scalars[j][k]
		}
		enh.Ts, enh.Out = s.Grid.At(k), enh.Out[:0]
		if starts != nil {
			enh.StartTimestamps = &promql.StartTimestamps{Floats: starts.Floats[lo:hi], Histograms: starts.Histograms[hlo:hhi]}
		}
		out, annos := s.call(params, matrix, s.args, enh)
		s.f.annotateAll(annos)
		if len(out) == 0 {
			continue
		}
		if out[0].H != nil {
			c.setHistogram(k, out[0].H)
		} else {
			c.v[k] = out[0].F
		}
	}
	return nil
}

func (s *rangeSource) check() error { return s.f.Check() }

func (s *rangeSource) warnQuantile(q float64) {
	s.f.annotate(annotations.NewInvalidQuantileWarning(q, s.args[0].PositionRange()))
}

// storedInput reads samples from the storage.
type storedInput struct{ selector Selector }

func (in *storedInput) open(f *Evaluation, _ steps.Grid) (rangeSeries, error) {
	set, err := in.selector.read(f)
	if err != nil {
		return nil, err
	}
	return &storedSeries{in, set}, nil
}

type storedSeries struct {
	*storedInput
	set *source.SeriesSet
}

func (s *storedSeries) len() int { return s.set.Len() }
func (s *storedSeries) labels(i int) (labels.Labels, bool) {
	return s.set.Labels(i), false
}
func (s *storedSeries) distinct() bool { return true }
func (s *storedSeries) close()         {}

func (s *storedSeries) load(w *worker, i int) (sampleColumns, error) {
	samples, shared, err := w.Load(s.set, i)
	if err != nil {
		return sampleColumns{}, err
	}
	whole := 0
	if len(samples.H) == 0 {
		whole = w.IntegralBits()
	}
	in := sampleColumns{t: samples.T, v: samples.V, st: samples.ST, stale: whole == 0, integralBits: whole, shared: shared}
	switch {
	case len(samples.H) == 0:
	case s.selector.statsOnly:
		in.h = w.HistogramStats()
	default:
		in.h = make([]*histogram.FloatHistogram, len(samples.H))
		for k, h := range samples.H {
			in.h[k] = floatHistogram(h)
		}
	}
	return in, nil
}
