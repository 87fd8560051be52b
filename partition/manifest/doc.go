// Package manifest keeps the MANIFEST, the log of edits that says which blocks
// make up the database. It is about Edits, the State they make together, the
// rules between the two, and the Manifest that makes edits durable in two copies.
//
//	Edit ─▶ CheckEdit ─▶ Manifest.Apply ─▶ MANIFEST, then MANIFEST.2 ─▶ State
//	                                  ▲ a fresh snapshot when the log is long
//
// The file is drawn in docs/format-manifest.md. Salvage reads what is intact of
// copies that are damaged.
package manifest
