package limiter

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunningAndWaitingReadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		if err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := l.Acquire(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a free slot: %v", err)
		}
		waiting, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		for range waitersPerSlot {
			go func() { ended <- l.Acquire(waiting) }()
		}
		synctest.Wait()
		if err := l.Acquire(t.Context()); !errors.Is(err, ErrFull) {
			t.Errorf("with all waiting places taken: %v", err)
		}
		stop()
		for range waitersPerSlot {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("waiting: %v", err)
			}
		}
		l.Release()
		if err := l.Acquire(t.Context()); err != nil {
			t.Errorf("after the release: %v", err)
		}
	})
}

func TestDrainWaitsForRunningReads(t *testing.T) {
	l := New(2)
	if err := l.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while a read runs: %v", err)
	}

	l = New(2)
	if err := l.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error)
	go func() { drained <- l.Drain(t.Context()) }()
	l.Release()
	if err := <-drained; err != nil {
		t.Errorf("after the release: %v", err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := l.Acquire(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("after the drain: %v", err)
	}
}
