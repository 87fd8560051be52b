// Package appender lets a scrape by Prometheus' packages write into the database: it is
// Prometheus' storage.AppendableV2 on the contract of the doors. An Appendable makes the
// appenders, an appender collects what one scrape has found, and its decoder hands that
// to a door when the scrape is committed.
//
//	scrape loop ─▶ Append: rows, charged to the budget ─▶ Commit ─▶ Request.Store ─▶ log, fsync
//	               duplicates within the scrape           │  one batch a scrape
//	               are refused here                       └▶ busy: again, up to a bound
//
// One scrape is one batch, durable when Commit returns. Series that the rules or limits
// of the doors refuse are left out and counted, as at every door; the rest of the scrape
// is stored.
package appender
