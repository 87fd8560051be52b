package encoding

import (
	"errors"
	"fmt"
)

// ErrCorrupt is returned, wrapped with a description, when bytes differ from the
// output of the matching Append function or use an id that this version does not
// know. The caller adds file and offset.
var ErrCorrupt = errors.New("corrupt encoding")

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// MaxValues is the largest number of values of one column. The Append
// functions panic above it, the Decode functions return ErrCorrupt.
const MaxValues = 1 << 16

func checkAppend(what string, n int) {
	if n > MaxValues {
		panic(fmt.Sprintf("BUG: %s column of %d values, at most %d", what, n, MaxValues))
	}
}

func checkDecode(what string, n int) error {
	if n < 0 || n > MaxValues {
		return corruptf("%s column of %d values, at most %d", what, n, MaxValues)
	}
	return nil
}
