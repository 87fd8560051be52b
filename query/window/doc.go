// Package window computes PromQL's range functions over the floats of one series.
//
// Its types:
//
//   - Windows is the time range that each step of a grid covers.
//   - Samples is the samples of one series in columns.
//   - Bounds is the positions of the windows in the times of a series. A BoundsCache
//     shares them between series that are scraped together.
//   - Kernel is a range function. It reads Points, which are samples and their
//     bounds, and sets one value per step.
//   - RowKernels are the range functions over rows of rollups, which are buckets and
//     single samples. FailingRows finds the buckets whose samples they need instead.
//   - RowTimes is what follows from the times of rows alone. A RowTimesCache shares it.
//
// Values equal those of Prometheus' functions bit for bit, so the order of additions
// is part of a kernel's definition. Work shared by several windows is done once per
// series.
package window
