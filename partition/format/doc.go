// Package format has the parts shared by all files of a data directory: their
// names, a Reader of untrusted bytes, and the errors for damage: ErrCorrupt,
// ErrVersion and DamageError.
package format
