package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// served lists the paths of the server, for the response to an unknown path. A
// test compares it with the mounted patterns.
var served = []struct{ what, methods, paths string }{
	{"Prometheus remote write", "POST", "/api/v1/write /api/v1/push"},
	{"OpenTelemetry metrics (OTLP)", "POST", "/v1/metrics /api/v1/otlp/v1/metrics /opentelemetry/v1/metrics"},
	{"InfluxDB line protocol", "POST", "/write /api/v2/write /api/v2/delete /api/v3/write_lp"},
	{"InfluxDB clients", "GET", "/ping /health /ready /query /api/v2/buckets /api/v2/orgs /api/v2/setup"},
	{"PromQL", "GET, POST", "/api/v1/query /api/v1/query_range /api/v1/query_exemplars /api/v1/explain /api/v1/format_query /api/v1/parse_query"},
	{"series and labels", "GET, POST", "/api/v1/series /api/v1/labels"},
	{"label values, metadata", "GET", "/api/v1/label/NAME/values /api/v1/metadata"},
	{"remote read", "POST", "/api/v1/read"},
	{"samples as lines of JSON, out", "GET, POST", "/api/v1/export"},
	{"samples as lines of JSON, in", "POST, PUT", "/api/v1/import"},
	{"Prometheus text and OpenMetrics, in", "POST, PUT", "/api/v1/import/prometheus"},
	{"pushes as to Pushgateway", "PUT, POST, DELETE", "/metrics/job/PATH /metrics/job@base64/PATH /api/v1/import/prometheus/metrics/job/PATH /api/v1/import/prometheus/metrics/job@base64/PATH"},
	{"CSV, in", "POST, PUT", "/api/v1/import/csv"},
	{"OpenTSDB", "POST", "/api/put /api/put/ /opentsdb/api/put /opentsdb/api/put/"},
	{"DataDog series, also JSON to /api/v1/series", "POST", "/datadog/api/v1/series /api/v2/series /datadog/api/v2/series"},
	{"DataDog agents", "POST", "/api/v1/check_run /datadog/api/v1/check_run /api/v1/metadata /datadog/api/v1/metadata /api/v1/events /datadog/api/v1/events /intake /intake/ /datadog/intake /datadog/intake/ /api/beta/sketches /datadog/api/beta/sketches"},
	{"DataDog agents", "GET", "/api/v1/validate /datadog/api/v1/validate"},
	{"federation", "GET", "/federate"},
	{"status", "GET", "/api/v1/targets /api/v1/targets/metadata /api/v1/targets/relabel_steps /api/v1/scrape_pools /api/v1/rules /api/v1/alerts /api/v1/alertmanagers /api/v1/features /api/v1/notifications /api/v1/notifications/live /api/v1/status/whoami /api/v1/status/buildinfo /api/v1/status/runtimeinfo /api/v1/status/flags /api/v1/status/config /api/v1/status/tsdb /api/v1/status/tsdb/blocks /api/v1/status/walreplay /api/v1/status/storage /api/v1/status/rollups /api/v1/status/jobs /api/v1/status/metrics /api/v1/status/churn /api/v1/status/cardinality /api/v1/status/metric_names_stats /api/v1/status/rejected /api/v1/status/active_queries /api/v1/status/top_queries"},
	{"administration", "POST", "/api/v1/admin/cancel_query /api/v1/admin/flush /api/v1/admin/compact /api/v1/admin/drop_caches /api/v1/admin/import /api/v1/admin/status/metric_names_stats/reset"},
	{"background jobs", "GET", "/api/v1/status/jobs"},
	{"deletions", "POST, PUT", "/api/v1/admin/tsdb/delete_series /api/v1/admin/tsdb/clean_tombstones"},
	{"snapshots", "POST, PUT", "/api/v1/admin/tsdb/snapshot"},
	{"snapshots and their files", "GET", "/api/v1/admin/tsdb/snapshots /api/v1/admin/tsdb/snapshots/NAME/files /api/v1/admin/tsdb/snapshots/NAME/files/PATH"},
	{"removal of a snapshot", "DELETE", "/api/v1/admin/tsdb/snapshots/NAME"},
	{"removal without DELETE", "POST", "/api/v1/admin/tsdb/snapshots/NAME/remove"},
	{"reload of the configuration", "POST, PUT", "/-/reload"},
	{"the page for browsers", "GET", "/ /ui /ui/ /ui/NAME /ui/assets/NAME /graph"},
	{"the server itself", "GET", "/metrics /-/healthy /-/ready /debug/pprof/"},
}

// notFound is a ResponseWriter that replaces the text of a 404 by the list of
// served paths.
type notFound struct {
	http.ResponseWriter
	path   string
	listed bool
}

func (n *notFound) WriteHeader(code int) {
	if code != http.StatusNotFound {
		n.ResponseWriter.WriteHeader(code)
		return
	}
	n.listed = true
	text := notFoundText(n.path)
	h := n.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	n.ResponseWriter.WriteHeader(code)
	// An error means that the client has disconnected.
	_, _ = n.ResponseWriter.Write([]byte(text))
}

// Write drops the text of the mux if the list has been sent.
func (n *notFound) Write(b []byte) (int, error) {
	if n.listed {
		return len(b), nil
	}
	return n.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (n *notFound) Unwrap() http.ResponseWriter { return n.ResponseWriter }

func notFoundText(path string) string {
	const maxPath = 200
	if len(path) > maxPath {
		path = path[:maxPath]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "404 page not found: %q is not served here. What is:\n", path)
	for _, s := range served {
		fmt.Fprintf(&b, "  %s (%s): %s\n", s.what, s.methods, s.paths)
	}
	b.WriteString("InfluxDB's paths are served under /influx and /influxdb too.\n")
	b.WriteString("gRPC (tsdb.v1.Write, tsdb.v1.Query) has a port of its own.\n")
	return b.String()
}
