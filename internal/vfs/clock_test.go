package vfs

import (
	"testing"
	"time"
)

func TestManualClockFiresTimersInOrderOfTheirTime(t *testing.T) {
	start := time.UnixMilli(1_000_000)
	c := NewManualClock(start)
	late, soon, now := c.After(2*time.Second), c.After(time.Second), c.After(0)
	if got := <-now; !got.Equal(start) {
		t.Fatalf("immediate timer: %v", got)
	}
	c.Advance(time.Second)
	if got := <-soon; !got.Equal(start.Add(time.Second)) {
		t.Fatalf("first timer: %v", got)
	}
	select {
	case <-late:
		t.Fatal("second timer fired early")
	default:
	}
	if c.Timers() != 1 {
		t.Fatalf("%d timers pending", c.Timers())
	}
	c.Advance(time.Hour)
	<-late
	if got := c.Now(); !got.Equal(start.Add(time.Hour + time.Second)) {
		t.Fatalf("now: %v", got)
	}
}

func TestBlockUntilWaitsForTimers(t *testing.T) {
	c := NewManualClock(time.UnixMilli(0))
	done := make(chan struct{})
	go func() {
		<-c.After(time.Second)
		<-c.After(time.Second)
		close(done)
	}()
	c.BlockUntil(1)
	c.Advance(time.Second)
	c.BlockUntil(1)
	c.Advance(time.Second)
	<-done
}
