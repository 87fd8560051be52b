// Package rpcwrite implements the gRPC service tsdb.v1.Write on the contract of
// package door: a stream of requests, each answered once it is stored.
package rpcwrite
