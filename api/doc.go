// Package api is the outer wall of the server: the HTTP and gRPC listeners,
// the doors mounted on them and what they share (metrics of requests, panics
// turned into answers, the rule of who may use the admin pages, health and
// readiness), and the server's scrape of itself.
//
// The doors are packages of their own: api/ingest takes samples in, over HTTP
// and gRPC; api/prom answers Prometheus' HTTP API, remote read and federation;
// api/rpc answers tsdb.v1.Query. The last two share a limiter of reads, a log of
// queries, and what explains a query before it runs.
package api
