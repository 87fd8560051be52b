// Package blockset keeps the blocks that the MANIFEST lists open. It is about the
// Set, its Versions, the Entry of a block in them, and the Leftovers of a crash.
//
//	Set.Publish(edit) ─▶ Version n+1 ─▶ readers Acquire and Release
//	                        Version n, once released ─▶ Sweep removes dropped files
//
// A block that is missing or damaged is quarantined in its place.
package blockset
