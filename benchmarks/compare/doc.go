// Compare starts tsdb and its peers on directories of their own and free
// ports, gives each the same work and prints the cost.
//
//	make build && go run ./benchmarks/compare write -load 200x1h,2000x10m
//
// writes a fleet to tsdb, and to Debian's Prometheus beside it, from empty
// directories: server CPU until everything is flushed and compacted, memory,
// bytes a sample, and the time to be ready again after kill -9, which doubles the
// length of a run and is measured in the first -restarts of them. A server under
// measurement shares the machine only with the sender, whose CPU is not counted.
// The default sub-command is write.
//
//	make build && go run ./benchmarks/compare query -victoriametrics PATH -prometheus PATH -data DIR
//
// loads the data sets of benchmarks/queries.txt into all servers, unless DIR has
// them from an earlier run, and sends its queries: cold, with nothing cached in
// the server, and then warm, with the range moved by a step. It measures the time
// until the whole answer is read, and the server's CPU meanwhile. A pass before
// the timed runs compares the answers and measures the memory that each query
// takes in a freshly started server.
//
//	make build && go run ./benchmarks/compare rollup -targets 3 -days 60
//
// measures what rollups cost and what they save: the bytes of each tier beside
// those of the samples, the CPU time of making them, and queries of long ranges,
// cold, from tiers and with resolution=raw, whose answers are compared. With
// -parts dashboard it asks everything that a dashboard of a year asks, as a browser
// does, with the page cache empty, too; with -parts stored it rolls up what a
// running server has stored lately.
//
//	make build && go run ./benchmarks/compare start -data DIR
//
// measures starts, time and CPU time until the server is ready: on ten years of
// daily blocks, and after kill -9 with the samples of a million series in the log.
//
//	make build && go run ./benchmarks/compare doors -victoriametrics PATH
//
// writes the same samples through each protocol, to VictoriaMetrics too, and prints
// samples a CPU second, or bytes of text where a protocol is text. It counts all
// work until everything is at rest.
//
//	make build && go run ./benchmarks/compare import
//
// measures imports and exports in every form, writes at full speed by turns alone and
// beside an import into the same server, and backups and restores.
//
// Each number is the median of -runs runs, in which the servers take turns.
package main
