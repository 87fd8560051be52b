package objstoretest

import (
	"context"
	"errors"
	"fmt"

	"tsdb/internal/objstore"
)

// OpKind is a kind of operation on a Mem.
type OpKind uint8

// The kinds of operations.
const (
	OpCreate OpKind = iota
	OpWrite
	OpCommit
	OpAbort
	OpOpen
	OpRead // each read of ReadRanges is one
	OpHead
	OpList
	OpDelete // each key is one
	OpSetAside
)

var opNames = [...]string{"create", "write", "commit", "abort", "open", "read", "head", "list", "delete", "set aside"}

func (k OpKind) String() string { return opNames[k] }

// Op is an operation on a Mem.
type Op struct {
	N    int // of the operation, from 1
	Kind OpKind
	Key  string
	Off  int64 // of a read or write
	Len  int   // bytes to read, write or commit
}

func (o Op) String() string { return fmt.Sprintf("%v %s @%d+%d", o.Kind, o.Key, o.Off, o.Len) }

// Faults that do more than fail. Any other error makes an operation fail with no
// effect.
var (
	// ErrShortRead makes a read get half of its bytes and fail with a
	// ShortError.
	ErrShortRead = errors.New("short read")
	// ErrLostDelete makes a deletion report success and do nothing.
	ErrLostDelete = errors.New("lost delete")
	// ErrTornCommit makes a Commit fail and leave the first half of the object
	// under its key, as a crash while a file is written in place does.
	ErrTornCommit = errors.New("torn commit")
	// ErrLostAnswer makes a Commit fail although the object is stored.
	ErrLostAnswer = errors.New("answer lost")
)

// SetHook makes m call hook before every operation, without locks held. An error
// makes the operation fail; a hook that waits makes it slow. nil removes it.
func (m *Mem) SetHook(hook func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.hook = hook
}

// FailAt makes the n-th operation from now, counted from 1, fail with err.
func (m *Mem) FailAt(n int, err error) {
	n += m.Ops()
	m.SetHook(func(o Op) error {
		if o.N == n {
			return err
		}
		return nil
	})
}

// Ops returns the number of operations so far.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.ops
}

// begin counts an operation and returns the error with which it is to fail.
func (m *Mem) begin(ctx context.Context, o Op) error {
	if err := ctx.Err(); err != nil && o.Kind != OpAbort {
		return err
	}
	if o.Kind != OpList {
		if err := objstore.CheckKey(o.Key); err != nil {
			return err
		}
	}
	m.mu.Lock()
	m.mu.ops++
	o.N = m.mu.ops
	hook := m.mu.hook
	m.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(o)
}
