// Package server starts the programs that benchmarks measure, on free ports of
// the loopback interface and directories of their own, makes them settle the
// samples they have received, measures CPU and memory, and ends them.
package server
