// Package blockset keeps the blocks that the MANIFEST lists open. It defines the
// Set, its Versions, the Entry of a block in a Version, and the Leftovers of a
// crash.
//
//	Set.Publish(edit) ─▶ Version n+1 ─▶ readers Acquire and Release
//	                        Version n, once released ─▶ Sweep removes dropped files
//
// A block that is missing or damaged stays listed and is quarantined. Version.Raw are
// the blocks of samples, Version.Rollups those of rollups. Readers of samples leave out
// what Version.Deletions tells: what tombstones delete, and what has expired by retention
// rules (hidden.go) or beside samples that stand in for a rollup (standin.go).
package blockset
