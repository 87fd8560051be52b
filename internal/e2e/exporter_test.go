package e2e

import (
	"context"
	"math"
	"math/rand"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// startExporter serves metrics that the other targets lack: exemplars, native
// histograms, odd floats, counters that start again and series that come and
// go. It returns its address.
func startExporter(t *testing.T) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "app_requests_total", Help: "Requests."}, []string{"path"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "app_latency_seconds", Help: "Latency.", Buckets: []float64{0.01, 0.1, 1},
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 60, NativeHistogramMinResetDuration: time.Hour,
	}, []string{"path"})
	odd := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_odd", Help: "Values that are easily mangled."}, []string{"what"})
	session := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_session", Help: "Comes and goes."}, []string{"id"})
	saw := prometheus.NewGauge(prometheus.GaugeOpts{Name: "app_saw_total", Help: "Falls back to zero every ten seconds."})
	reg.MustRegister(requests, latency, odd, session, saw)
	// Minus zero is missing: Prometheus loses its sign when it encodes remote write
	// 2, because the format omits zeros.
	for what, v := range map[string]float64{
		"nan": math.NaN(), "inf": math.Inf(1), "minus_inf": math.Inf(-1),
		"tiny": math.SmallestNonzeroFloat64, "huge": math.MaxFloat64, "third": 1.0 / 3,
	} {
		odd.WithLabelValues(what).Set(v)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	running.Go(func() {
		r := rand.New(rand.NewSource(1))
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			path := []string{"/a", "/b", "/c"}[r.Intn(3)]
			trace := prometheus.Labels{"trace_id": strconv.FormatUint(r.Uint64(), 16)}
			if i%80 == 0 { // the server keeps the last ten a series between two cuts
				requests.WithLabelValues(path).(prometheus.ExemplarAdder).AddWithExemplar(1, trace)
				latency.WithLabelValues(path).(prometheus.ExemplarObserver).ObserveWithExemplar(r.ExpFloat64()/10, trace)
			} else {
				requests.WithLabelValues(path).Inc()
				latency.WithLabelValues(path).Observe(r.ExpFloat64() / 10)
			}
			saw.Set(float64(i % 100))
			if id := strconv.Itoa(i / 70 % 4); i%70 == 0 {
				session.Reset()
				session.WithLabelValues(id).Set(float64(i))
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = server.Close()
		running.Wait()
	})
	return l.Addr().String()
}
