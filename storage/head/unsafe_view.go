package head

import "unsafe"

// view returns a string that shares b's memory. It is only used for bytes of an
// arena, which never change once written.
func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}
