// Package manifest keeps the MANIFEST, the log of edits that lists the blocks of
// the database. It defines Edits, the State they add up to, the rules an Edit
// must obey, and the Manifest, which makes edits durable in two copies.
//
//	Edit ─▶ CheckEdit ─▶ Manifest.Apply ─▶ MANIFEST, then MANIFEST.2 ─▶ State
//	                                  ▲ a fresh snapshot when the log is long
//
// docs/format-manifest.md describes the file. Salvage reads the intact records
// of damaged copies.
package manifest
