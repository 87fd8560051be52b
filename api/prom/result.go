package prom

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/stats"
)

// queryData writes the data of a query result: resultType before result, as
// streaming clients require. st may be nil.
func queryData(v parser.Value, st *statsView) encodable {
	return func(e *encoder) {
		begin := time.Now()
		e.raw(`{"resultType":"`)
		e.raw(string(v.Type()))
		e.raw(`","result":`)
		switch v := v.(type) {
		case promql.Vector:
			e.vector(v)
		case promql.Matrix:
			e.matrix(v)
		case promql.Scalar:
			e.scalar(v.T, strconv.FormatFloat(v.V, 'f', -1, 64))
		case promql.String:
			e.scalar(v.T, v.V)
		default:
			panic(fmt.Sprintf("BUG: query result of type %T", v))
		}
		if st != nil {
			if st.all {
				took := time.Since(begin).Seconds()
				st.Timings.ResultEncodeTime = &took
			}
			e.raw(`,"stats":`)
			jsonValue(st)(e)
		}
		e.raw("}")
	}
}

// statsView holds the statistics of a query in the API's format.
type statsView struct {
	Timings timingsView `json:"timings"`
	Samples any         `json:"samples,omitempty"` // Prometheus' counts
	// CachedSteps is the number of steps of a range query that came from the
	// cache; only with stats=all.
	CachedSteps int `json:"cachedSteps,omitempty"`
	// BucketsRead is the number of buckets of rollups that the answer was computed
	// from, which samplesRead includes; only with stats=all.
	BucketsRead int64 `json:"bucketsRead,omitempty"`
	// BucketsReadByTier is the same by the name of the rollup.
	BucketsReadByTier map[string]int64 `json:"bucketsReadByTier,omitempty"`

	all bool // include statistics that Prometheus does not have
}

// timingsView is the time spent in the stages of a query, in seconds.
// ExecTotalTime includes all others but ResultEncodeTime.
type timingsView struct {
	EvalTotalTime        float64 `json:"evalTotalTime"`
	ResultSortTime       float64 `json:"resultSortTime"`
	QueryPreparationTime float64 `json:"queryPreparationTime"` // selecting series
	InnerEvalTime        float64 `json:"innerEvalTime"`        // reading samples and evaluating
	ExecQueueTime        float64 `json:"execQueueTime"`
	ExecTotalTime        float64 `json:"execTotalTime"`
	// ResultEncodeTime is the time of encoding, compressing and sending the
	// result; only with stats=all.
	ResultEncodeTime *float64 `json:"resultEncodeTime,omitempty"`
}

func newStats(s *stats.Statistics, all bool) *statsView {
	b := stats.NewQueryStats(s).Builtin()
	t := b.Timings
	v := &statsView{all: all, Timings: timingsView{
		EvalTotalTime: t.EvalTotalTime, ResultSortTime: t.ResultSortTime, QueryPreparationTime: t.QueryPreparationTime,
		InnerEvalTime: t.InnerEvalTime, ExecQueueTime: t.ExecQueueTime, ExecTotalTime: t.ExecTotalTime,
	}}
	if b.Samples != nil {
		v.Samples = b.Samples
	}
	return v
}

// scalar writes [time, "value"]. Unlike in samples, the time is an ordinary
// number: 1.5, not 1.500.
func (e *encoder) scalar(ms int64, v string) {
	e.b = append(e.b, '[')
	e.b = strconv.AppendFloat(e.b, float64(ms)/1000, 'f', -1, 64)
	e.b = append(e.b, ',')
	e.b = appendString(e.b, v)
	e.b = append(e.b, ']')
}

func (e *encoder) vector(v promql.Vector) {
	e.b = append(e.b, '[')
	for i := range v {
		s := &v[i]
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.raw(`{"metric":`)
		e.b = appendLabels(e.b, s.Metric)
		if s.H == nil {
			e.raw(`,"value":`)
			e.b = appendPoint(e.b, promql.FPoint{T: s.T, F: s.F})
		} else {
			e.raw(`,"histogram":`)
			e.b = appendHistogramPoint(e.b, promql.HPoint{T: s.T, H: s.H})
		}
		e.b = append(e.b, '}')
		if !e.checkpoint() {
			return
		}
	}
	e.b = append(e.b, ']')
}

func (e *encoder) matrix(m promql.Matrix) {
	var times timeTexts
	point := func(dst []byte, p promql.FPoint) []byte {
		dst = append(dst, '[')
		dst = times.append(dst, p.T)
		dst = append(dst, ',')
		dst = appendFloat(dst, p.F)
		return append(dst, ']')
	}
	e.b = append(e.b, '[')
	for i := range m {
		s := &m[i]
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.raw(`{"metric":`)
		e.b = appendLabels(e.b, s.Metric)
		if len(s.Floats) > 0 {
			e.raw(`,"values":`)
			points(e, s.Floats, point)
		}
		if len(s.Histograms) > 0 {
			e.raw(`,"histograms":`)
			points(e, s.Histograms, appendHistogramPoint)
		}
		e.b = append(e.b, '}')
		if !e.checkpoint() {
			return
		}
	}
	e.b = append(e.b, ']')
}

func points[P any](e *encoder, ps []P, appendOne func([]byte, P) []byte) {
	e.b = append(e.b, '[')
	for i, p := range ps {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = appendOne(e.b, p)
		if !e.checkpoint() {
			return
		}
	}
	e.b = append(e.b, ']')
}

func appendPoint(dst []byte, p promql.FPoint) []byte {
	dst = append(dst, '[')
	dst = appendTime(dst, p.T)
	dst = append(dst, ',')
	dst = appendFloat(dst, p.F)
	return append(dst, ']')
}

func appendHistogramPoint(dst []byte, p promql.HPoint) []byte {
	dst = append(dst, '[')
	dst = appendTime(dst, p.T)
	dst = append(dst, ',')
	dst = appendHistogram(dst, p.H)
	return append(dst, ']')
}

// exemplarData writes exemplars by series, seriesLabels first.
func exemplarData(results []exemplar.QueryResult) encodable {
	return func(e *encoder) {
		e.b = append(e.b, '[')
		for i, r := range results {
			if i > 0 {
				e.b = append(e.b, ',')
			}
			e.raw(`{"seriesLabels":`)
			e.b = appendLabels(e.b, r.SeriesLabels)
			e.raw(`,"exemplars":`)
			points(e, r.Exemplars, appendExemplar)
			e.b = append(e.b, '}')
			if !e.checkpoint() {
				return
			}
		}
		e.b = append(e.b, ']')
	}
}

func appendExemplar(dst []byte, x exemplar.Exemplar) []byte {
	dst = append(dst, `{"labels":`...)
	dst = appendLabels(dst, x.Labels)
	dst = append(dst, `,"value":`...)
	dst = appendFloat(dst, x.Value)
	dst = append(dst, `,"timestamp":`...)
	dst = appendTime(dst, x.Ts)
	return append(dst, '}')
}

// stringData writes a list of strings.
func stringData(ss []string) encodable { return func(e *encoder) { e.strings(ss) } }
