// Package window computes PromQL's functions of ranges over the floats of one
// series.
//
// Its nouns:
//
//   - Windows: the range of samples that belongs to each step of a grid.
//   - Samples: the samples of one series, in columns.
//   - Bounds: where the windows lie among the times of a series. A BoundsCache
//     shares them between series that were scraped together.
//   - Kernel: a function; it reads Points, which are samples and their bounds, and
//     sets one value a step.
//
// The values are those of Prometheus' functions to the bit, so the order of
// additions is part of a kernel. Work that several windows share is done once for
// the series.
package window
