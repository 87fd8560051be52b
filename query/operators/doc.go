// Package operators evaluates the nodes of a plan.
//
// Its types:
//
//   - Node is an expression on a grid of times. All decisions that do not depend on
//     samples have been made. The constructors (NewVector, NewRange, NewBinary,
//     NewAggregate, …) build nodes from nodes.
//   - Run is one evaluation of a plan: its workers, points in memory, annotations.
//   - Evaluation is the run and the sample counts in which a node is evaluated.
//   - column is one series with at most one value per step; table is a list of
//     columns.
//
// A node is an opener or a tabler. An opener produces its columns one at a time
// (selectors, range functions, functions and operators of one series), with as many
// workers as CPU slots. The columns are consumed in the order of the series, so that
// sums have the same bits for any number of workers. A tabler needs all columns at
// once (joins, ranks, quantiles, classic histograms) and returns a table:
//
//	source.Reader ─▶ samples in columns ─▶ sliding windows ─▶ one value per step ─▶ fold into groups × steps
//
// So sum by (x) (rate(everything[5m])) holds only a few series and its groups in
// memory.
//
// Values equal those of Prometheus' functions bit for bit. For range functions of
// native histograms, with start timestamps or with modifiers, Prometheus' function
// is called for each window.
//
// A selector reads samples or, if package tiers chooses one, a tier: then its series
// are rows of buckets, with samples in the place of buckets that fail (tieredRows).
//
// The package has more than 30 files because it has one for each kind of node, and
// they share the unexported columns and tables.
package operators
