package storage

import (
	"context"
	"fmt"
	"sync/atomic"

	"tsdb/internal/model"
	"tsdb/storage/log"
)

// space measures whether the disk has room for the samples in memory. Writes stop
// while free space is below Options.MinFreeBytes plus the bytes of both heads,
// because those must still become blocks; they resume when there is more.
type space struct {
	*env
	wal   log.Log
	views *views
	short atomic.Pointer[shortage] // nil = there is room
}

type shortage struct{ free, needed int64 }

// needed returns the free bytes without which writes are refused.
func (s *space) needed() int64 { return s.opts.MinFreeBytes + s.views.headStatus().Bytes }

// observe records a measurement of the free bytes. It reports whether writes
// stop or resume.
func (s *space) observe(free uint64, needed int64) (changed bool) {
	was := s.short.Load() != nil
	if free >= uint64(needed) {
		s.short.Store(nil)
		return was
	}
	s.short.Store(&shortage{free: int64(free), needed: needed})
	return !was
}

// refusal returns why writes are refused, "" if they are not.
func (s *space) refusal() string {
	sh := s.short.Load()
	if sh == nil {
		return ""
	}
	free, needed := model.FormatBytesPair(sh.free, sh.needed)
	return fmt.Sprintf("free disk space is %s, %s are needed", free, needed)
}

// measure measures the free space and logs when writes stop or resume.
func (s *space) measure(ctx context.Context) error {
	free, err := s.fs.FreeBytes(s.dir)
	if err != nil {
		return fmt.Errorf("measure the free disk space: %w", err)
	}
	changed := s.observe(free, s.needed())
	s.wal.SetShort(s.refusal() != "")
	if !changed {
		return nil
	}
	if why := s.refusal(); why != "" {
		s.metrics.writesStopped.Set(1)
		s.log.Error("writes are refused", "why", why)
		return nil
	}
	s.metrics.writesStopped.Set(0)
	s.log.Info("writes are taken again", "free_bytes", free)
	_ = s.jobs.reserve.Run(ctx, s.ensureReserve)
	return nil
}
