// Package query answers PromQL over the database.
//
// Engine implements promql.QueryEngine, so any user of that interface can run on it.
// A query passes through these stages:
//
//	text ─▶ Parser (Prometheus' parser, behind bounds) ─▶ plan ─▶ queue ─▶ run ─▶ answer
//	                                                       │ not covered
//	                                                       └▶ Prometheus' own engine, same storage
//
// The types of this package are Engine, Parser, planner, and Query, a prepared query
// that runs a plan. The work is done in subpackages, which import each other only
// from left to right:
//
//	query ─▶ resultcache ─▶ noncounter ─▶ steps
//	  ├────▶ operators ───▶ noncounter, source, window, admission, steps
//	  └────▶ source ──────▶ admission
//
// Answers equal those of Prometheus' engine: values bit for bit, errors and
// annotations. A query that our own engine does not cover runs entirely on
// Prometheus' engine and is counted by reason in tsdb_query_fallback_total.
package query
