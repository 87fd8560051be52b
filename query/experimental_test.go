package query_test

import "testing"

// Experimental functions, aggregations and durations run on our own engine and
// answer as Prometheus' does.
func TestExperimentalEqualsPrometheusEngine(t *testing.T) {
	d := newDifferential(t, true, false, false, false, 7)
	defer d.close()
	for _, text := range []string{
		"rate(requests_total[2m + 30s])", "rate(requests_total[5m / 2])", "requests_total offset (1m * 2)", "requests_total offset -(30s + 30s)",
		"sum_over_time(gauge[step() * 4 + 1m])", "avg_over_time(gauge[max_of(step(), 1m)])", "max_over_time(gauge[(2m):step() + 15s])",
		"count_over_time(gauge[min_of(10m, range() + 1m)])", "rate(requests_total[2 ^ 7] offset (10 % 7))",
		`sort_by_label(requests_total, "instance", "job")`, `sort_by_label_desc(requests_total, "instance")`, `sort_by_label_desc(gauge, "job", "instance")`,
		"limitk(2, requests_total)", "limitk by (job) (1, gauge)", "limitk(-1, gauge)", "limitk(3, native)", "limit_ratio(0.5, requests_total)", "limit_ratio(-0.3, gauge)",
		"mad_over_time(gauge[10m])", "ts_of_first_over_time(gauge[10m])", "ts_of_min_over_time(gauge[10m])", "first_over_time(gauge[7m])",
		"double_exponential_smoothing(gauge[10m], 0.3, 0.6)", "max_of(1, 2) * gauge", `histogram_quantiles(rate(latency_bucket[5m]), "q", 0.5, 0.9)`,
	} {
		d.ask(question{text: text, start: 2_000_000, instant: true, end: 2_000_000})
		d.ask(question{text: text, start: 1_000_000, end: 4_000_000, step: 27_000})
	}
	if f := fallbacks(t, d.reg); len(f) != 0 {
		t.Errorf("run on Prometheus' engine: %v", f)
	}
	if d.empty > 4 || d.failed > 4 {
		t.Errorf("%d answers are empty, %d errors", d.empty, d.failed)
	}
}
