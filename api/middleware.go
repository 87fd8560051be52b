package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/api/reqbody"
)

// middleware counts requests and recovers from panics in handlers.
type middleware struct {
	log      *slog.Logger
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

func newMiddleware(reg prometheus.Registerer, log *slog.Logger) (*middleware, error) {
	m := &middleware{
		log: log,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsdb_http_requests_total", Help: "HTTP requests answered, by handler and status code.",
		}, []string{"handler", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tsdb_http_request_duration_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"handler"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tsdb_http_requests_in_flight", Help: "HTTP requests being answered.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.inFlight} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	var err error
	m.panics, err = panicCounter(reg)
	return m, err
}

// panicCounter returns the counter of panics. HTTP and gRPC share it.
func panicCounter(reg prometheus.Registerer) (prometheus.Counter, error) {
	c := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tsdb_panics_total", Help: "Requests that ran into a programming error; each has a stack in the log.",
	})
	err := reg.Register(c)
	var registered prometheus.AlreadyRegisteredError
	if errors.As(err, &registered) {
		return registered.ExistingCollector.(prometheus.Counter), nil
	}
	return c, err
}

// wrap returns a handler that calls next. The metric label "handler" is the
// pattern of mux that matches the request, so clients cannot add values to it.
func (m *middleware) wrap(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		handler := handlerName(pattern)
		a := &answer{ResponseWriter: w}
		begin := time.Now()
		if r.Body != nil && r.Body != http.NoBody {
			// This bounds bodies that no handler reads and the server discards;
			// handlers extend the deadline as the body arrives. The error is that
			// of test connections without deadlines.
			_ = http.NewResponseController(w).SetReadDeadline(begin.Add(reqbody.Grace))
		}
		m.inFlight.Inc()
		// A deferred call of its own runs even if recovered panics again to abort
		// the connection.
		defer func() {
			m.inFlight.Dec()
			m.requests.WithLabelValues(handler, strconv.Itoa(a.status())).Inc()
			m.duration.WithLabelValues(handler).Observe(time.Since(begin).Seconds())
		}()
		defer func() {
			if p := recover(); p != nil {
				m.recovered(a, r, p)
			}
		}()
		if pattern == "" {
			next.ServeHTTP(&notFound{ResponseWriter: a, path: r.URL.Path}, r)
			return
		}
		next.ServeHTTP(a, r)
	})
}

// recovered responds with 500 for a handler that panicked, or aborts the
// connection if a part of the response has been sent.
func (m *middleware) recovered(a *answer, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	m.panics.Inc()
	m.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if a.code != 0 {
		panic(http.ErrAbortHandler)
	}
	writeError(a, http.StatusInternalServerError, "internal", "internal error: the request met a bug, which the server's log describes")
}

// handlerName returns the path of a pattern: "GET /metrics" → "/metrics".
func handlerName(pattern string) string {
	if _, path, ok := strings.Cut(pattern, " "); ok {
		pattern = path
	}
	if pattern == "" {
		return "none"
	}
	return pattern
}

// answer records the status code that a handler sends.
type answer struct {
	http.ResponseWriter
	code int
}

func (a *answer) WriteHeader(code int) {
	if a.code == 0 && code >= 200 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) status() int {
	if a.code == 0 {
		return http.StatusOK
	}
	return a.code
}
