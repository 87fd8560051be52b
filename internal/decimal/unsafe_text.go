package decimal

import "unsafe"

// asString returns b as a string that shares its memory, for parsers that retain
// nothing but in errors, which are not passed on.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
