// Package resultcache caches the answers of range queries.
//
// Its types:
//
//   - Cache keeps answers by expression, step and phase.
//   - Lookup is a query and the cached part of its answer. Answer evaluates only
//     new steps and steps whose data has changed since.
//   - Evaluator evaluates parts of the query's grid for a Lookup.
//   - extent is an immutable answer on a grid, with the change counters of the data
//     it read.
//
// analyze finds the data that a step reads; storage.Changes reports which data has
// changed.
package resultcache
