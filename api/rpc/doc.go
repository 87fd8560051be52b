// Package rpc implements the gRPC service tsdb.v1.Query, which returns PromQL
// results and raw samples as streams of messages. The service tsdb.v1.Write is in
// package ingest.
//
// A message is at most MaxMessageBytes long. It is built after the previous one
// has been sent, so a stream holds in memory its list of series, one message, and
// either the result of its query or a time span of one series' samples.
package rpc
