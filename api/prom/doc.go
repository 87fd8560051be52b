// Package prom implements the read endpoints of Prometheus' HTTP API, version
// 3.14, as used by Grafana, client_golang and promtool. Bodies, error types and
// status codes equal Prometheus', down to the number formats;
// docs/compatibility.md lists the intended differences.
//
// A handler validates its parameters, queries the engine or a view of the
// database, and returns a function that encodes the result. Results are appended
// to a buffer that is sent whenever it is full, so a response is never held in
// memory as a whole beside its result.
package prom
