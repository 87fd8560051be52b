// Package sets makes the data sets that bytes a sample are measured on: series
// with labels, times and values, the same for the same seed, one group (a
// host, a target) at a time, so that a set of any size takes the memory of a
// group.
//
// CPUOnly and DevOps are like what TSBS generates: the same fields,
// distributions and clamps, other random numbers. Nodes is the fleet of
// benchmarks/fleet, Sensors and Uniform are what their names say, and a
// recording is what a real node_exporter answered, scrape by scrape. A test
// holds the generated sets to the size that Prometheus' chunks of 120 samples
// take on their originals.
package sets
