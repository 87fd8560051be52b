// Package query answers PromQL over the database.
//
// Engine implements promql.QueryEngine, so whatever speaks that interface can
// run on it. It evaluates on Prometheus' own engine and adds what a server
// needs around it: bounds on the text of a query before it is parsed, a
// bounded queue in front of a bounded number of running queries, the list of
// what is running, errors that tell a timeout from a fault of the storage, and
// the warnings that come up only while samples are read.
//
// Queryable shows a database to that engine, and to everything else that reads
// through Prometheus' storage interfaces. Each Querier pins one view of the
// database and releases it on Close: what a query sees does not change while
// it runs.
package query
