// Package panics turns panics of background work into errors, so that a programming
// error fails that work and does not end the process.
package panics

import (
	"fmt"
	"runtime/debug"
)

// Error is a recovered panic.
type Error struct {
	Value any    // the argument of panic
	Stack []byte // of the goroutine that panicked
}

// Error returns the argument of panic without the stack.
func (e *Error) Error() string { return fmt.Sprintf("BUG: panic: %v", e.Value) }

// Unwrap returns the argument of panic if it is an error, otherwise nil.
func (e *Error) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Catch recovers a panic and stores it in err as an *Error. It must be deferred
// directly, by a function with a named result:
//
//	defer panics.Catch(&err)
func Catch(err *error) {
	if p := recover(); p != nil {
		*err = &Error{Value: p, Stack: debug.Stack()}
	}
}
