package gate

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestGateBoundsWhoRunsAndWhoWaits(t *testing.T) {
	g := New(1)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := g.Enter(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while one runs: %v", err)
	}
	waiting, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	for range waitersASlot {
		go func() { ended <- g.Enter(waiting) }()
	}
	for g.waiting.Load() < waitersASlot {
		time.Sleep(time.Millisecond)
	}
	if err := g.Enter(t.Context()); !errors.Is(err, ErrFull) {
		t.Errorf("behind all who may wait: %v", err)
	}
	stop()
	for range waitersASlot {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("waiting: %v", err)
		}
	}
	g.Leave()
	if err := g.Enter(t.Context()); err != nil {
		t.Errorf("after it left: %v", err)
	}
}

func TestDrainWaitsForThoseInside(t *testing.T) {
	g := New(2)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := g.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while one is inside: %v", err)
	}

	g = New(2)
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error)
	go func() { drained <- g.Drain(t.Context()) }()
	g.Leave()
	if err := <-drained; err != nil {
		t.Errorf("after it left: %v", err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := g.Enter(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("after the drain: %v", err)
	}
}
