// Package panics turns panics of work that nobody waits for into errors, so that
// a programming error costs that piece of work and not the process.
package panics

import (
	"fmt"
	"runtime/debug"
)

// Error is the error that a panic became.
type Error struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine that panicked
}

// Error names what panic was called with; the stack is for the log.
func (e *Error) Error() string { return fmt.Sprintf("BUG: panic: %v", e.Value) }

// Unwrap returns the error that panic was called with, nil if it was none.
func (e *Error) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Catch makes an *Error of a panic and stores it in err. It is to be deferred
// itself, by a function with a named result:
//
//	defer panics.Catch(&err)
func Catch(err *error) {
	if p := recover(); p != nil {
		*err = &Error{Value: p, Stack: debug.Stack()}
	}
}
