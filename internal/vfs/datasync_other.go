//go:build unix && !linux

package vfs

import "golang.org/x/sys/unix"

// datasync is a full fsync where the system has no portable fdatasync.
func datasync(fd int) error { return unix.Fsync(fd) }
