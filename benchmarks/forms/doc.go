// Package forms writes the samples of simulated machines in the protocols that
// servers take, so that the cost of each can be compared: remote write 1 and 2, OTLP,
// lines of JSON, the exposition format, InfluxDB's line protocol and CSV.
//
// What stands for a series in every request is made once and copied into each,
// so that a sender that shares a machine with the server takes little of it.
package forms
