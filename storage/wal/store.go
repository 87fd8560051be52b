package wal

import (
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// Store is the log.Store of the segments in a directory.
type Store struct {
	FS      vfs.FS
	Dir     string
	Options Options
}

// Scan is the function Scan as a method of log.Store.
func (s Store) Scan() (log.Recovery, error) {
	r, err := Scan(s.FS, s.Dir, s.Options)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Open is the function Open as a method of log.Recovery.
func (r *Recovery) Open(start log.Pos) (log.Log, error) {
	l, err := Open(r.fs, r.dir, r.o, start, r)
	if err != nil {
		return nil, err
	}
	return l, nil
}
