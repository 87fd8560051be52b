// Package api is the outer wall of the server: the HTTP and gRPC listeners,
// the doors mounted on them and what they share (metrics of requests, panics
// turned into answers, the rule of who may use the admin pages, health and
// readiness), and the server's scrape of itself.
//
// The doors are packages of their own: api/ingest takes samples in, api/prom
// answers Prometheus' HTTP API.
package api
