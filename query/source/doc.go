// Package source provides the database to both query engines, and to all other users
// of Prometheus' storage interfaces.
//
// Its types:
//
//   - Queryable provides one tenant's series of a Database.
//   - Querier pins a view of the database until Close, so that a query reads a
//     consistent state. Select returns a SeriesSet.
//   - Reader reads the series of a SeriesSet in columns for our own engine;
//     Prometheus' engine uses the iterators of the series.
//   - Tracking is the Queryable of one query. It keeps track of the queriers opened
//     through it: their memory counts towards the query, and their warnings are
//     added to its answer.
package source
