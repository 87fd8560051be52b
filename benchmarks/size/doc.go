// Size measures how many bytes a sample takes at rest: each data set of
// benchmarks/sets is written through remote write 1 into tsdb, and into
// VictoriaMetrics beside it, from empty directories; they flush and merge, and
// the size of their files is divided by the number of samples. Sizes do not
// depend on the machine (VictoriaMetrics' vary by a percent).
//
//	make bench-size ARGS="-victoriametrics PATH -recording FILE"
//
// The recording is of a real node_exporter, once a second for half an hour:
//
//	go run ./benchmarks/size -record FILE
//
// Samples lie in the last full days of UTC. Data is times and values and the
// structures that locate them; the index is the rest: series, labels, postings.
package main
