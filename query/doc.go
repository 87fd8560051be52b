// Package query answers PromQL over the database.
//
// Engine implements promql.QueryEngine, so whatever speaks that interface can
// run on it. A query goes this way:
//
//	text ─▶ Parser (Prometheus' parser, behind bounds) ─▶ plan ─▶ queue ─▶ run ─▶ answer
//	                                                       │ not covered
//	                                                       └▶ Prometheus' own engine, same storage
//
// Its nouns: Engine, Parser, the planner, and Query, a prepared query that runs the
// plan. The work is done in the packages below, which import each other from left to
// right only:
//
//	query ─▶ resultcache ─▶ noncounter ─▶ steps
//	  ├────▶ operators ───▶ noncounter, source, window, admission, steps
//	  └────▶ source ──────▶ admission
//
// Answers are those of Prometheus' engine: values to the bit, errors and
// annotations. A query that our engine does not cover runs there as a whole, and is
// counted by reason in tsdb_query_fallback_total.
package query
