package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/stats"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"tsdb/api/asof"
	"tsdb/api/querylog"
	"tsdb/api/resolution"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
)

// maxAnnotations bounds the warnings and the infos of a response.
const maxAnnotations = 10

// errTruncated is the warning of a response that was truncated at its limit.
var errTruncated = errors.New("results truncated due to limit")

// Query evaluates an expression at one time.
func (s *Service) Query(r *tsdbv1.QueryRequest, to grpc.ServerStreamingServer[tsdbv1.QueryResponse]) error {
	at := orElse(r.TimeMs, s.opts.Clock.Now().UnixMilli())
	if err := checkTime("time_ms", at); err != nil {
		return err
	}
	return s.evaluate(to, querylog.Query{Text: r.Query, StartMs: at, EndMs: at}, r.Options, func(ctx context.Context, q *query.Queryable, o promql.QueryOpts) (*query.Query, error) {
		return s.opts.Engine.Instant(ctx, q, o, r.Query, time.UnixMilli(at))
	})
}

// QueryRange evaluates an expression at the steps of a time range.
func (s *Service) QueryRange(r *tsdbv1.QueryRangeRequest, to grpc.ServerStreamingServer[tsdbv1.QueryResponse]) error {
	for name, at := range map[string]int64{"start_ms": r.StartMs, "end_ms": r.EndMs} {
		if err := checkTime(name, at); err != nil {
			return err
		}
	}
	if r.EndMs < r.StartMs {
		return invalid(errors.New("end_ms must not be before start_ms"))
	}
	if err := s.checkSteps(r.StartMs, r.EndMs, r.StepMs); err != nil {
		return err
	}
	asked := querylog.Query{Text: r.Query, StartMs: r.StartMs, EndMs: r.EndMs, StepMs: r.StepMs}
	return s.evaluate(to, asked, r.Options, func(ctx context.Context, q *query.Queryable, o promql.QueryOpts) (*query.Query, error) {
		return s.opts.Engine.Range(ctx, q, o, r.Query, time.UnixMilli(r.StartMs), time.UnixMilli(r.EndMs), time.Duration(r.StepMs)*time.Millisecond)
	})
}

// checkSteps returns an error for a step that is no time, or too small for the range.
func (s *Service) checkSteps(start, end, step int64) error {
	if step < 1 || step > math.MaxInt64/int64(time.Millisecond) {
		return invalid(errors.New("step_ms must be at least 1"))
	}
	if n := query.Points(start, end, step); n > uint64(s.opts.MaxPoints) {
		return invalid(fmt.Errorf("query would make %d points per timeseries, more than the %d of --query.max-points: try a larger step_ms", n, s.opts.MaxPoints))
	}
	return nil
}

// checkTime returns an error for times outside the range that queries support.
func checkTime(name string, ms int64) error {
	if ms < query.MinTime || ms > query.MaxTime {
		return invalid(fmt.Errorf("%s must lie between the years %d and %d", name, time.UnixMilli(query.MinTime).Year(), time.UnixMilli(query.MaxTime).Year()))
	}
	return nil
}

func (s *Service) evaluate(to grpc.ServerStreamingServer[tsdbv1.QueryResponse], asked querylog.Query, o *tsdbv1.QueryOptions,
	prepare func(context.Context, *query.Queryable, promql.QueryOpts) (*query.Query, error)) error {
	begin := time.Now()
	ctx := to.Context()
	db, err := s.opts.DB()
	if err != nil {
		return statusOf(err, false)
	}
	opts, err := s.queryOpts(o)
	if err != nil {
		return err
	}
	from, info := query.NewQueryable(db, model.DefaultTenant), error(nil)
	if o != nil && o.AsOfMs != nil {
		if from, info, err = asof.Open(db, model.DefaultTenant, *o.AsOfMs); err != nil {
			return invalid(fmt.Errorf("as_of_ms: %w", err))
		}
	}
	q, err := prepare(ctx, from, opts)
	if err != nil {
		return invalid(err)
	}
	defer q.Close()
	if p, ok := peer.FromContext(ctx); ok {
		asked.Client = p.Addr.String()
	}
	asked.Door = "grpc"
	running, ended := s.opts.Queries.Begin(ctx, asked)
	executed := false
	defer func() {
		if !executed { // Exec panicked
			ended(querylog.Outcome{Err: querylog.ErrPanicked})
		}
	}()
	res := q.Exec(running)
	executed = true
	ended(querylog.OutcomeOf(q, res))
	if res.Err != nil {
		if errors.Is(context.Cause(running), querylog.ErrCancelled) {
			res.Err = querylog.ErrCancelled
		}
		return statusOf(res.Err, true)
	}
	if info != nil {
		res.Warnings.Add(info)
	}
	encoding := q.EncodeResponse(ctx)
	defer encoding.End()
	out := newQueryAnswer(to, encoding)
	if out.write(res, int(o.GetLimit())) {
		res.Warnings.Add(errTruncated)
	}
	warnings, infos := res.Warnings.AsStrings(asked.Text, maxAnnotations, maxAnnotations)
	st := stats.NewQueryStats(q.Stats()).Builtin()
	read := make(map[string]uint64)
	for tier, n := range q.BucketsReadByTier() {
		read[tier] = uint64(n)
	}
	out.end(&tsdbv1.QueryEnd{Warnings: valid(warnings), Infos: valid(infos), Stats: &tsdbv1.QueryStats{
		Series: out.samples.series, Samples: out.samples.samples,
		SamplesRead: uint64(samplesRead(st)), CachedSteps: uint32(q.CachedSteps()), PeakSamples: uint64(peakSamples(st)), BucketsRead: uint64(q.BucketsRead()), BucketsReadByTier: read,
		QueueSeconds: st.Timings.ExecQueueTime, TotalSeconds: time.Since(begin).Seconds(),
	}})
	return statusOf(out.err, false)
}

// queryOpts returns the options of a query; o may be nil.
func (s *Service) queryOpts(o *tsdbv1.QueryOptions) (promql.QueryOpts, error) {
	lookback := o.GetLookbackMs()
	if lookback < 0 || lookback > math.MaxInt64/int64(time.Millisecond) {
		return nil, invalid(errors.New("lookback_ms must not be negative"))
	}
	tier, err := resolution.Parse(o.GetResolution(), s.opts.Rollups)
	if err != nil {
		return nil, invalid(err)
	}
	opts := query.WithResolution(promql.NewPrometheusQueryOpts(false, time.Duration(lookback)*time.Millisecond), tier)
	if o.GetNoCache() {
		opts = query.Uncached(opts)
	}
	return opts, nil
}

func samplesRead(s stats.BuiltinStats) int64 {
	if s.Samples == nil {
		return 0
	}
	return s.Samples.SamplesRead
}

func peakSamples(s stats.BuiltinStats) int {
	if s.Samples == nil {
		return 0
	}
	return s.Samples.PeakSamples
}

// valid replaces invalid UTF-8, which protobuf refuses.
func valid(texts []string) []string {
	for i, t := range texts {
		texts[i] = strings.ToValidUTF8(t, "\uFFFD")
	}
	return texts
}

// queryAnswer sends a query result. After an error of the stream it does nothing.
type queryAnswer struct {
	to       grpc.ServerStreamingServer[tsdbv1.QueryResponse]
	encoding *query.ResponseEncoding
	series   *seriesBatches
	samples  *sampleBatches
	err      error
}

func newQueryAnswer(to grpc.ServerStreamingServer[tsdbv1.QueryResponse], encoding *query.ResponseEncoding) *queryAnswer {
	a := &queryAnswer{to: to, encoding: encoding}
	a.series = &seriesBatches{send: func(b *tsdbv1.SeriesBatch) error {
		return a.send(&tsdbv1.QueryResponse{Frame: &tsdbv1.QueryResponse_Series{Series: b}})
	}}
	a.samples = newSampleBatches(func(b *tsdbv1.SampleBatch) error {
		return a.send(&tsdbv1.QueryResponse{Frame: &tsdbv1.QueryResponse_Samples{Samples: b}})
	})
	return a
}

// send sends a message, and waits until the query may build the next one.
func (a *queryAnswer) send(r *tsdbv1.QueryResponse) error {
	a.encoding.Pause()
	if err := a.to.Send(r); err != nil {
		return err
	}
	return a.encoding.Resume()
}

func (a *queryAnswer) header(h *tsdbv1.QueryHeader) {
	a.err = a.send(&tsdbv1.QueryResponse{Frame: &tsdbv1.QueryResponse_Header{Header: h}})
}

func (a *queryAnswer) try(f func() error) {
	if a.err == nil {
		a.err = f()
	}
}

// write sends the result without the end message. It reports whether the result
// was truncated at the limit; 0 = no limit.
func (a *queryAnswer) write(res *promql.Result, limit int) (cut bool) {
	keep := func(n int) int {
		if limit > 0 && n > limit {
			cut = true
			return limit
		}
		return n
	}
	switch v := res.Value.(type) {
	case promql.String:
		a.header(&tsdbv1.QueryHeader{ResultType: tsdbv1.ResultType_RESULT_TYPE_STRING, Text: strings.ToValidUTF8(v.V, "\uFFFD")})
	case promql.Scalar:
		a.header(&tsdbv1.QueryHeader{ResultType: tsdbv1.ResultType_RESULT_TYPE_SCALAR, SeriesCount: 1})
		a.list(1, func(int) labels.Labels { return labels.EmptyLabels() })
		a.try(func() error { return a.samples.floats(0, []int64{v.T}, []float64{v.V}, nil) })
	case promql.Vector:
		v = v[:keep(len(v))]
		a.header(&tsdbv1.QueryHeader{ResultType: tsdbv1.ResultType_RESULT_TYPE_VECTOR, SeriesCount: uint32(len(v))})
		a.list(len(v), func(i int) labels.Labels { return v[i].Metric })
		for i := range v {
			a.try(func() error {
				if v[i].H != nil {
					return a.samples.histogram(uint32(i), toFloatHistogram(v[i].T, v[i].H))
				}
				return a.samples.floats(uint32(i), []int64{v[i].T}, []float64{v[i].F}, nil)
			})
		}
	case promql.Matrix:
		v = v[:keep(len(v))]
		a.header(&tsdbv1.QueryHeader{ResultType: tsdbv1.ResultType_RESULT_TYPE_MATRIX, SeriesCount: uint32(len(v))})
		a.list(len(v), func(i int) labels.Labels { return v[i].Metric })
		for i := range v {
			a.try(func() error { return a.matrixSeries(uint32(i), &v[i]) })
		}
	default:
		panic(fmt.Sprintf("BUG: query result of type %T", v))
	}
	a.try(a.samples.flush)
	return cut
}

// list sends the label sets of n series.
func (a *queryAnswer) list(n int, of func(i int) labels.Labels) {
	for i := range n {
		a.try(func() error { return a.series.add(of(i)) })
	}
	a.try(a.series.flush)
}

func (a *queryAnswer) matrixSeries(index uint32, s *promql.Series) error {
	times, values := make([]int64, len(s.Floats)), make([]float64, len(s.Floats))
	for i, p := range s.Floats {
		times[i], values[i] = p.T, p.F
	}
	if err := a.samples.floats(index, times, values, nil); err != nil {
		return err
	}
	for _, p := range s.Histograms {
		if err := a.samples.histogram(index, toFloatHistogram(p.T, p.H)); err != nil {
			return err
		}
	}
	return nil
}

func (a *queryAnswer) end(e *tsdbv1.QueryEnd) {
	a.try(func() error { return a.send(&tsdbv1.QueryResponse{Frame: &tsdbv1.QueryResponse_End{End: e}}) })
}
