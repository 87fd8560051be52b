// Package await waits, in tests, for what can only be observed by asking: the
// answer of another program, a file that another goroutine writes.
//
// Where there is a signal (a channel, a line of a log, virtual time) a test
// waits for the signal. Where there is none it polls here, always with a
// limit, and nowhere else: no test calls time.Sleep outside a bubble of
// testing/synctest.
package await

import (
	"context"
	"testing"
	"time"
)

// Limit bounds That. It is long enough for a busy machine; only a test that
// fails takes that long.
const Limit = time.Minute

// Intervals between two evaluations of a condition: the first, which doubles up
// to the last.
const (
	minInterval = time.Millisecond
	maxInterval = 100 * time.Millisecond
)

// Within reports whether cond becomes true within a time. It calls cond on the
// caller's goroutine: once at the beginning, then at growing intervals, and for
// the last time when the limit has passed. It ends early if ctx does.
func Within(ctx context.Context, limit time.Duration, cond func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for interval := minInterval; !cond(); interval = min(2*interval, maxInterval) {
		if !Pause(ctx, interval) {
			return cond()
		}
	}
	return true
}

// That ends the test if cond does not become true within Limit.
func That(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !Within(t.Context(), Limit, cond) {
		t.Fatalf("%s: not within %s", what, Limit)
	}
}

// Pause lets a time pass and reports whether ctx is still alive. It is for
// tests whose subject is elapsed time: a process killed at a random moment, a
// client that retries.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
