package reqbody

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"tsdb/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryOfRequestsInFlightIsBounded(t *testing.T) {
	clock := vfs.NewManualClock(epoch)
	b := NewBudget(Options{Limit: 100, Clock: clock})
	ctx := t.Context()
	one, two, three := b.NewCharge(), b.NewCharge(), b.NewCharge()
	if one.Take(ctx, 60) != nil || two.Take(ctx, 40) != nil {
		t.Fatal("a charge within the limit was refused")
	}
	got := make(chan error)
	wait := func(f func()) error {
		n := clock.Timers()
		go func() { got <- three.Take(ctx, 30) }()
		clock.BlockUntil(n + 2) // its deadline and its next recheck
		f()
		return <-got
	}
	if err := wait(func() { clock.Advance(maxWait) }); !errors.Is(err, ErrOverload) {
		t.Errorf("granted over the limit: %v", err)
	}
	if err := wait(func() { two.Give(40) }); err != nil {
		t.Errorf("refused though there was room in time: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := two.Take(cancelled, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("granted to a client that has gone: %v", err)
	}
	one.Release()
	if err := three.Take(ctx, 1000); err != nil {
		t.Errorf("a request larger than the limit was refused though it is alone: %v", err)
	}
	three.Release()
	three.Release()
	(*Charge)(nil).Release()
	if n := b.Used(); n != 0 {
		t.Errorf("%d bytes charged", n)
	}
}
