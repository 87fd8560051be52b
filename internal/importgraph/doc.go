// Package importgraph holds the test that keeps imports pointing one way. It
// has no code of its own.
package importgraph
