// Package api holds the HTTP and gRPC servers, the handlers common to all
// protocols (request metrics, recovery from panics, authentication, access to
// the admin pages, health and readiness), and the server's scrape of itself.
//
// Each protocol, called a door, is a package of its own: api/ingest accepts
// samples over HTTP and gRPC; api/prom serves Prometheus' HTTP API, remote read
// and federation; api/rpc serves tsdb.v1.Query. The last two share a limiter of
// reads, a log of queries, and the explanation of queries.
package api
