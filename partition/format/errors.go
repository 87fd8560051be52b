package format

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is the class of all errors about damaged bytes, found with
	// errors.Is. Such errors are *DamageError.
	ErrCorrupt = errors.New("corrupt")
	// ErrVersion is returned when a file has a version that this program does
	// not know.
	ErrVersion = errors.New("unknown format version")
)

// DamageError describes damaged bytes of a file.
type DamageError struct {
	Path   string
	Offset int64  // of the damaged part in the file
	What   string // the part and the damage
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s@%d: %s: corrupt", e.Path, e.Offset, e.What)
}

// Is reports ErrCorrupt as the class of the error.
func (e *DamageError) Is(target error) bool { return target == ErrCorrupt }

// Corrupt returns an ErrCorrupt for a decoder that does not know the path and the
// offset.
func Corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
