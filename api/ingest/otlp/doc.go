// Package otlp implements OpenTelemetry metrics (OTLP 1.x) over HTTP and gRPC on the
// contract of package door. What the data points become is that of Prometheus' OTLP
// receiver: names by its translator, classic histograms as a series for each bucket,
// exponential ones as native histograms, target_info of each resource.
//
//	ExportMetricsServiceRequest            decoder
//	 └ ResourceMetrics  ─ resource ────────▶ resource: hash; job, instance, target_info
//	    └ ScopeMetrics  ─ scope ───────────▶ scope: hash, if scopes become labels
//	       └ Metric     ─ name, unit, type ▶ metric: hash of all of these; name
//	          └ data point ─ attributes ───▶ sample: alias = hash of both; time, value
//
// A message is decoded by hand from its wire format, a data point once, into samples
// that hold where its attributes lie. Names are translated, and attributes read, only for
// a sample whose alias is unknown.
//
// A data point of which a sample is refused counts as rejected in the partial success of
// the answer; the others of the request are stored.
package otlp
