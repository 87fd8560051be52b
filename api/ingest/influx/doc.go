// Package influx serves the HTTP API of InfluxDB for clients that write: the line
// protocol of 1.x, 2.x and 3 on the contract of package door, ping, health and
// readiness, and the statements about databases and retention policies that
// clients send before they write, and about the names of what is there. Data are
// queried in PromQL.
package influx
