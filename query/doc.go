// Package query answers PromQL over the database.
//
// Engine implements promql.QueryEngine, so whatever speaks that interface can
// run on it. A query goes this way:
//
//	text ─▶ parse (Prometheus' parser, behind bounds) ─▶ plan ─▶ turn in the queue ─▶ run ─▶ answer
//	                                                       │ not covered
//	                                                       └▶ Prometheus' own engine, same storage
//
// A plan is a tree of nodes, each on a grid of times, with everything decided
// that can be before a sample is read. It runs series by series and in columns:
//
//	storage.Series ─▶ decode into a worker's slices ─▶ windows slide over them ─▶ a value a step ─▶ fold into groups × steps
//
// A node is an opener or a tabler. An opener makes its columns one at a time
// (selectors, functions of a range, functions and operators that look at one
// series), in as many workers as there are cores; they are handed over in the
// order of the series, so that sums have the same bits however many workers
// there are. A tabler needs columns together (joins, ranks, quantiles, classic
// histograms) and makes a table of them. So sum by (x) (rate(everything[5m]))
// holds a few series and its groups.
//
// Answers are those of Prometheus' engine: values to the bit, errors and
// annotations. What our engine does not cover runs there, the whole query, and
// is counted by reason in tsdb_query_fallback_total. Where native histograms,
// start timestamps or modifiers meet a function of a range, Prometheus' function
// is called a window at a time.
//
// Answers of range queries are kept: a query that was asked before evaluates only
// the steps that are new and those that read what has changed since. What is read
// is known from the expression, what has changed from storage.Changes.
//
// Around it stands what a server needs: bounds on the text of a query before it
// is parsed, a bounded queue in front of a bounded number of running queries,
// the list of what is running, errors that tell a timeout from a fault of the
// storage, and the warnings that come up only while samples are read.
//
// Queryable shows a database to both engines, and to everything else that reads
// through Prometheus' storage interfaces. Each Querier pins one view of the
// database and releases it on Close: what a query sees does not change while
// it runs.
package query
