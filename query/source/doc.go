// Package source shows the database to both query engines, and to everything else
// that reads through Prometheus' storage interfaces.
//
// Its nouns:
//
//   - Queryable: one tenant's series of a Database.
//   - Querier: pins a view of the database until Close, so that a query reads the
//     same samples while it runs. Select returns a SeriesSet.
//   - Reader: reads the series of a SeriesSet in columns, for our own engine; the
//     iterators of its series are for Prometheus'.
//   - Tracking: the Queryable of one query, which remembers the queriers that were
//     opened through it: their memory counts for the query, and their warnings
//     reach its answer.
package source
