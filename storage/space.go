package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync/atomic"
	"syscall"

	"tsdb/partition"
)

// space remembers whether the disk leaves room for what is in memory. Writes
// stop while free space is below a floor plus the bytes of both heads, because
// those must still become blocks; they resume when there is more.
type space struct {
	floor int64 // bytes
	short atomic.Pointer[shortage]
}

type shortage struct{ free, needed int64 }

// observe takes a measurement of the free bytes and the bytes of the heads. It
// reports whether the answer changed.
func (s *space) observe(free uint64, heads int64) bool {
	needed := s.floor + heads
	was := s.short.Load() != nil
	if free >= uint64(needed) {
		s.short.Store(nil)
		return was
	}
	s.short.Store(&shortage{free: int64(free), needed: needed})
	return !was
}

// refusal says why writes are not taken, "" if they are.
func (s *space) refusal() string {
	sh := s.short.Load()
	if sh == nil {
		return ""
	}
	return fmt.Sprintf("free disk space is %d MiB, %d MiB are needed", sh.free>>20, sh.needed>>20)
}

// observeSpace measures the free space and says so when writes stop or resume.
func (db *DB) observeSpace(ctx context.Context) error {
	free, err := db.fs.FreeBytes(db.dir)
	if err != nil {
		return fmt.Errorf("measure the free disk space: %w", err)
	}
	heads := db.headStatus().Bytes
	changed := db.space.observe(free, heads)
	db.wal.SetShort(db.space.refusal() != "")
	if !changed {
		return nil
	}
	if why := db.space.refusal(); why != "" {
		db.metrics.writesStopped.Set(1)
		db.log.Error("writes are refused", "why", why)
		return nil
	}
	db.metrics.writesStopped.Set(0)
	db.log.Info("writes are taken again", "free_bytes", free)
	_ = db.jobs.reserve.Run(ctx, db.ensureReserve)
	return nil
}

// ensureReserve makes the reserve file: bytes that are there for an edit of the
// manifest when the disk is full, because edits are how space comes back.
func (db *DB) ensureReserve(context.Context) error {
	name := path.Join(db.dir, partition.ReserveName)
	if info, err := db.fs.Stat(name); err == nil && info.Size == db.opts.ReserveBytes {
		return nil
	} else if err == nil {
		if err := db.fs.Remove(name); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := db.fs.Create(name)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(db.opts.ReserveBytes, 1<<20))
	for off := int64(0); off < db.opts.ReserveBytes && err == nil; off += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), db.opts.ReserveBytes-off)], off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, db.fs.Remove(name))
	}
	return db.fs.SyncDir(db.dir)
}

// giveReserveUp removes the reserve file. It reports whether there was one.
func (db *DB) giveReserveUp() bool {
	if err := db.fs.Remove(path.Join(db.dir, partition.ReserveName)); err != nil {
		return false
	}
	db.log.Warn("disk is full: the reserve file was given up for an edit of the manifest")
	return true
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
