// Package rpc answers the gRPC service tsdb.v1.Query: PromQL and raw samples as
// streams of frames. The service tsdb.v1.Write is a door of package ingest.
//
// A frame is at most MaxFrameBytes long. It is made when the client has taken
// the one before, so what a stream holds is its list of series, one frame, and
// either the result of its query or a window of one series' samples.
package rpc
