// Package logtest supports tests of logs and of what stands on them: Mem, a log in
// memory with faults, and TestStore, which holds a log.Store to its contract.
package logtest
