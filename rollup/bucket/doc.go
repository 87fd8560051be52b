// Package bucket defines the buckets of a rollup: how they are built from samples,
// and which windows of a query they can answer.
//
//   - Builder summarises the samples of a series in rows of model.Buckets (stretch.go:
//     of several resolutions in one pass; falling.go: integers, two at a time on amd64).
//   - Inside reports which part of a row is in a window that may cut it (edges.go).
//   - Function is a function of windows that rows can answer: which columns it reads,
//     and which rows it must not use (function.go).
//   - StandIn reports whether samples take the place of buckets (standin.go).
//
// It has pure functions only, and knows no files and no PromQL expressions.
package bucket
