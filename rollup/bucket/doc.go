// Package bucket says what a bucket of a rollup is: how it is built from samples,
// and which windows of a query it can answer.
package bucket
