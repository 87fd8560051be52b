// Compare starts tsdb and its peers on directories of their own and free
// ports, gives each the same to do and prints what it cost.
//
//	make build && go run ./benchmarks/compare write -load 200x1h,2000x10m
//
// writes a fleet to tsdb, and to Debian's Prometheus beside it, from empty
// directories: server CPU until everything is flushed and compacted, memory,
// bytes a sample, and the time to be ready again after kill -9, which takes as
// long again and is measured in the first -restarts of the runs. A server under
// measurement has the machine to itself but for the sender, whose CPU is not
// counted. Without a sub-command write is meant.
//
//	make build && go run ./benchmarks/compare query -victoriametrics PATH -prometheus PATH -data DIR
//
// loads the data sets of benchmarks/queries.txt into all servers, unless DIR has
// them from an earlier time, and asks its queries: cold, with nothing cached in
// the server, and warm, after that with the range moved by a step. What counts
// is the time until the whole answer is read, and the server's CPU meanwhile. A
// pass before the timed runs sets the answers beside each other and measures
// the memory each takes in a server that has just been started.
//
// Each number is the median of -runs runs, in which the servers take turns.
package main
