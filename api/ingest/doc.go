// Package ingest mounts the write endpoints, called doors: Prometheus remote write
// 1.0 and 2.0, the InfluxDB line protocol, JSON lines, Prometheus' text format and
// OpenMetrics, also as pushes to a Pushgateway, CSV, OpenTSDB's data points and
// DataDog's series over HTTP, and the service tsdb.v1.Write over gRPC. Each protocol has a package of its own on the contract of
// package door:
//
//	ingest ─▶ remotewrite ─┬─▶ door ─▶ storage
//	       ─▶ influx ──────┤
//	       ─▶ jsonlines ───┤
//	       ─▶ text ────────┤   (pushgateway ─▶ text)
//	       ─▶ csv ─────────┤
//	       ─▶ opentsdb ────┤
//	       ─▶ datadog ─────┤
//	       ─▶ graphite ────┤   (over TCP and UDP, by listener)
//	       ─▶ rpcwrite ────┘   (wire: fields of protobuf messages)
//
// An alias, the hash by which a known series is looked up, is that of:
//
//	remote write 1   the contiguous run of label sub-messages of a TimeSeries, as sent
//	remote write 2   the sequence of the hashes of the symbols its label refs name
//	Influx           the bytes "measurement,tagset" and the bytes of the field's key
//	JSON lines       the object of the labels, as sent
//	text             the name and the labels of the line, as sent
//	CSV              the fields that are labels, as sent, and the metric's number
//	OpenTSDB         the metric and the object of the tags, as sent
//	DataDog          metric, host, device, tags and resources, as sent
//	Graphite         the path with the tags, as sent
//	OTLP             resource, scope, name, unit and type of the metric, attributes
//	gRPC             the names and values of the labels, in the order sent
//
// The seed of the hash is derived from the protocol, the tenant, the generation
// of the configuration and the request parameters that change labels (db, extra_label).
// It differs between processes.
//
// A request with bad samples is stored in part: good samples are stored, and
// the response (400 over HTTP) reports how many were refused and why. A message
// that cannot be decoded stores nothing. No input makes a door panic or use
// unbounded memory: bodies are limited before and after decompression, and a
// budget bounds all requests together.
package ingest
