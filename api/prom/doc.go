// Package prom is the HTTP API of Prometheus, version 3.14, for reading: what
// Grafana, client_golang and promtool ask a Prometheus server for. The bodies,
// error types and status codes are Prometheus' own, down to the number formats;
// docs/compatibility.md lists where they differ on purpose.
//
// A handler validates its parameters, asks the engine or a view of the
// database, and hands back what to encode. Results of queries are encoded by
// appending to a buffer that is sent whenever it is full, so an answer is never
// in memory twice.
package prom
