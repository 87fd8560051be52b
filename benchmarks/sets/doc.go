// Package sets generates the data sets on which bytes per sample are measured:
// series with labels, times and values, reproducible from a seed, one group (a
// host, a target) at a time, so that a set of any size needs the memory of one
// group.
//
// CPUOnly and DevOps are like what TSBS generates: the same fields,
// distributions and clamps, other random numbers. Nodes is the fleet of
// benchmarks/fleet; Sensors are slow curves with noise, Uniform is random; a
// recording holds the scrapes of a real node_exporter. A test compares the size
// of Prometheus' chunks of 120 samples on the generated sets with that on their
// originals.
package sets
