// Package format has what the files of a data directory have in common: their
// Names, the Reader of bytes that may be anything, and the errors of damage:
// ErrCorrupt, ErrVersion and DamageError.
package format
