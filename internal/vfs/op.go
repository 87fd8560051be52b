package vfs

import (
	"fmt"
	"strings"
)

// OpKind names an operation of FS or File.
type OpKind uint8

// The kinds of operations.
const (
	OpCreate OpKind = iota
	OpOpen
	OpOpenReadWrite
	OpRemove
	OpRename
	OpLink
	OpMkdirAll
	OpList
	OpStat
	OpSyncDir
	OpLock
	OpFreeBytes
	OpTotalBytes
	OpRead
	OpWrite
	OpSync
	OpTruncate
	OpSize
	OpClose
	opKinds
)

var opNames = [opKinds]string{
	"create", "open", "open-rw", "remove", "rename", "link", "mkdir", "list", "stat",
	"sync-dir", "lock", "free-bytes", "total-bytes", "read", "write", "sync", "truncate", "size", "close",
}

func (k OpKind) String() string {
	if k < opKinds {
		return opNames[k]
	}
	return fmt.Sprintf("op(%d)", uint8(k))
}

// OpSet is a set of kinds.
type OpSet uint32

// Ops returns the set of the given kinds.
func Ops(kinds ...OpKind) OpSet {
	var s OpSet
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in the set.
func (s OpSet) Has(k OpKind) bool { return s>>k&1 != 0 }

// AllOps holds every kind.
const AllOps OpSet = 1<<opKinds - 1

// MutatingOps holds the kinds that change what a power cut or another process
// finds.
var MutatingOps = Ops(OpCreate, OpRemove, OpRename, OpLink, OpMkdirAll, OpSyncDir,
	OpWrite, OpSync, OpTruncate)

// Op is one operation.
type Op struct {
	N      int // its number, from 1, among the operations that are counted
	Kind   OpKind
	Name   string // of the file or directory
	To     string // the new name of a rename or link
	Off    int64  // of a read or write; the size of a truncate
	Len    int    // bytes to read or write
	Result error  // known only in the log
}

// String gives the operation as one line of a transcript, without its number.
func (o Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", o.Kind, o.Name)
	switch o.Kind {
	case OpRename, OpLink:
		fmt.Fprintf(&b, " -> %s", o.To)
	case OpRead, OpWrite:
		fmt.Fprintf(&b, " @%d+%d", o.Off, o.Len)
	case OpTruncate:
		fmt.Fprintf(&b, " %d", o.Off)
	}
	if o.Result != nil {
		fmt.Fprintf(&b, ": %v", o.Result)
	}
	return b.String()
}
