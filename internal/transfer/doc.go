// Package transfer moves samples into a database from other servers and from files:
//
//	Source ─▶ Run ─▶ Target
//	promdir   bounds, resumption,   DB   (a data directory at rest)
//	promread  progress              Remote (a running server, /api/v1/admin/import)
//	files
//
// A Source has units, such as a day or a file, and positions within them. Run reads
// them in order and publishes runs of bounded memory. After each it records the
// position in a State, so that a transfer that was interrupted goes on there. Samples
// that were published, but not recorded, are published again, which changes nothing
// unless others were written meanwhile.
//
// Sources are in packages of their own, because the libraries that they use are for
// nothing else.
package transfer
