// Package server starts the programs that benchmarks measure, on free ports of
// the loopback interface and directories of their own, asks them to settle
// what they took in, says what they cost, and ends them.
package server
