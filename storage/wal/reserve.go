package wal

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"tsdb/storage/log"
)

// release subtracts n bytes that are no longer outstanding.
func (b *budget) release(n int64, tail bool) {
	if tail {
		b.tailOutstanding -= n
	} else {
		b.outstanding -= n
	}
}

// deleteGrant is the reservation of the delete in progress.
type deleteGrant struct {
	left int64
	tail bool // the bytes are the tail's
}

// take uses n bytes of the grant. It reports whether they are the tail's; if
// not, they are also part of the ordinary reservations.
func (d *deleteGrant) take(n int64) (tail bool) {
	if d.left < n {
		panic(fmt.Sprintf("BUG: append of a tombstone of %d bytes, %d reserved", n, d.left))
	}
	d.left -= n
	return d.tail
}

// Reserve guarantees room for frames of n bytes in total (the sum of FrameBytes),
// in the pending buffer and in segments that are on disk already. Callers must
// not hold locks, since it waits up to a second. Then it fails with ErrBusy or
// ErrNoSpace; both conditions end by themselves once the disk has caught up or
// has room again. If n exceeds MaxReserve the error is ErrTooLarge.
func (l *Log) Reserve(ctx context.Context, n int) error {
	return l.reserve(ctx, int64(n), func() (granted, space bool) {
		ok, space := l.mu.budget.fits(int64(n))
		if ok {
			l.mu.budget.outstanding += int64(n)
			l.mu.reserved += int64(n)
		}
		return ok, space
	})
}

// Unreserve releases n bytes that were reserved and not appended.
func (l *Log) Unreserve(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int64(n) > l.mu.reserved {
		panic(fmt.Sprintf("BUG: release of %d bytes, %d reserved", n, l.mu.reserved))
	}
	l.mu.reserved -= int64(n)
	l.mu.budget.outstanding -= int64(n)
	l.spaceChangedLocked()
}

// ReserveDelete is Reserve for the frames of one deletion. When
// segments are full it may use the tail of each. Only one delete at a time has a
// reservation, others wait; done ends the reservation and releases the bytes that
// were not appended.
func (l *Log) ReserveDelete(ctx context.Context, n int) (done func(), err error) {
	select {
	case l.deletes <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	size := int64(n)
	err = l.reserve(ctx, size, func() (granted, space bool) {
		m := &l.mu
		ok, space := m.budget.fits(size)
		switch {
		case ok:
			m.budget.outstanding += size
			m.reserved += size
		case !m.budget.rotating && m.budget.fitsTail(size, false):
			m.budget.tailOutstanding += size
		default:
			return false, space
		}
		m.del = deleteGrant{left: size, tail: !ok}
		return true, false
	})
	if err != nil {
		<-l.deletes
		return nil, err
	}
	return func() {
		l.mu.Lock()
		d := l.mu.del
		l.mu.del = deleteGrant{}
		if !d.tail {
			l.mu.reserved -= d.left
		}
		l.mu.budget.release(d.left, d.tail)
		l.spaceChangedLocked()
		l.mu.Unlock()
		<-l.deletes
	}, nil
}

// reserve repeats try, which is called with mu held, until it grants or the wait times out.
func (l *Log) reserve(ctx context.Context, n int64, try func() (granted, space bool)) error {
	if n < 0 || n > int64(l.MaxReserve()) {
		return fmt.Errorf("reserve %d bytes, at most %d: %w", n, l.MaxReserve(), log.ErrTooLarge)
	}
	return l.await(ctx, func() (bool, error) {
		granted, space := try()
		if granted || !space || l.mu.prepErr == nil {
			return granted, log.ErrBusy
		}
		return false, l.noSpaceLocked()
	})
}

// noSpaceLocked returns the error for a lack of segments: ErrNoSpace if the last one
// could not be made because the disk is full, otherwise ErrBusy.
func (l *Log) noSpaceLocked() error {
	if errors.Is(l.mu.prepErr, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", log.ErrNoSpace, l.mu.prepErr)
	}
	return fmt.Errorf("%w: %w", log.ErrBusy, l.mu.prepErr)
}

// await repeats try with mu held until it returns true, the log ends, or
// reserveWait is over; then it returns try's error. ErrNoSpace is returned at
// once: whether to wait for free disk space is up to the client.
func (l *Log) await(ctx context.Context, try func() (bool, error)) error {
	m := &l.mu
	m.Lock()
	defer m.Unlock()
	var timeUp <-chan time.Time
	for {
		if err := l.stateLocked(); err != nil {
			return err
		}
		ok, err := try()
		if ok {
			return nil
		}
		if errors.Is(err, log.ErrNoSpace) {
			return err
		}
		if timeUp == nil {
			timeUp = l.o.Clock.After(reserveWait)
		}
		if m.space == nil {
			m.space = make(chan struct{})
		}
		space := m.space
		wake(l.kick)
		m.Unlock()
		select {
		case <-space:
			m.Lock()
		case <-timeUp:
			m.Lock()
			return err
		case <-ctx.Done():
			m.Lock()
			return ctx.Err()
		}
	}
}

// spaceChangedLocked wakes the goroutines that wait for space.
func (l *Log) spaceChangedLocked() {
	if l.mu.space != nil {
		close(l.mu.space)
		l.mu.space = nil
	}
}
