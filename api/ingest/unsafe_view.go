package ingest

import "unsafe"

// view returns b as a string without a copy. It is valid until b changes, so
// it may be kept only by what copies it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
