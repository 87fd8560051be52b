// Package objstoretest has what tests of object stores and of their users need:
// Mem, a store in memory with faults, and Test, the behaviour that every store
// must show.
package objstoretest
