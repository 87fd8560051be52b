// Compare starts tsdb, and Debian's Prometheus beside it, on empty directories
// and free ports, writes the same fleet to each and prints what it cost:
// server CPU until everything is flushed and compacted, memory, bytes a
// sample, and the time to be ready again after kill -9.
//
//	make build && go run ./benchmarks/compare -tsdb bin/tsdb -load 200x1h,2000x10m
//
// Each number is the median of -runs runs, in which the servers take turns; the
// restart, which takes as long again, is measured in the first -restarts of
// them. A server under measurement has the machine to itself but for the
// senders, whose CPU is not counted.
package main
