// Package operators evaluates the nodes of a plan.
//
// Its nouns:
//
//   - Node: an expression on a grid of times, with everything decided that can be
//     before a sample is read. The constructors (NewVector, NewRange, NewBinary,
//     NewAggregate, …) make nodes of nodes.
//   - Run: one evaluation of a plan: its workers, points in memory, annotations.
//   - Evaluation: the run, and where samples are counted; nodes are evaluated in it.
//   - column: a value, or none, at each step, for one series; a table is columns.
//
// A node is an opener or a tabler. An opener makes its columns one at a time
// (selectors, functions of a range, functions and operators of one series), in as
// many workers as there are CPU slots; they are consumed in the order of the
// series, so that sums have the same bits however many workers there are. A tabler
// needs columns together (joins, ranks, quantiles, classic histograms) and makes a
// table of them:
//
//	source.Reader ─▶ samples in columns ─▶ windows slide over them ─▶ a value a step ─▶ fold into groups × steps
//
// So sum by (x) (rate(everything[5m])) holds a few series and its groups.
//
// Values are those of Prometheus' functions to the bit. Where native histograms,
// start timestamps or modifiers meet a function of a range, Prometheus' function is
// called for each window.
package operators
