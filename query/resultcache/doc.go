// Package resultcache keeps the answers of range queries.
//
// Its nouns:
//
//   - Cache: keeps answers by expression, step and phase.
//   - Lookup: a query and what the cache has of its answer. Answer evaluates only
//     the steps that are new and those that read data that has changed since.
//   - Evaluator: evaluates parts of the query's grid for a Lookup.
//   - extent: an immutable answer on a grid, with the change counters of what it
//     read.
//
// The data that a step reads follows from the expression (see analyze), and the
// data that has changed from storage.Changes.
package resultcache
