// Package datadir reads a data directory at rest, for the database that is about
// to open it and for the tools of package doctor: its lock, the blocks that its
// MANIFEST lists, the loss of its log, and the damage that strict mode refuses.
//
//	doctor ──▶ datadir ◀── storage.Open
package datadir
