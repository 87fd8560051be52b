package await

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestWithinPollsUntilTheLimit(t *testing.T) {
	f := func(trueAfter, limit time.Duration, want bool, wantElapsed time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			got := Within(t.Context(), limit, func() bool { return time.Since(begin) >= trueAfter })
			if elapsed := time.Since(begin); got != want || elapsed != wantElapsed {
				t.Errorf("true after %s, limit %s: %v after %s, want %v after %s", trueAfter, limit, got, elapsed, want, wantElapsed)
			}
		})
	}
	f(0, time.Second, true, 0)
	f(time.Millisecond, time.Second, true, time.Millisecond)
	f(5*time.Millisecond, time.Second, true, 7*time.Millisecond)     // 1 + 2 + 4
	f(300*time.Millisecond, time.Second, true, 327*time.Millisecond) // 127 + 2×100
	f(time.Second, time.Second, true, time.Second)                   // the last evaluation is at the limit
	f(time.Hour, time.Second, false, time.Second)
}

func TestWithinEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if Within(ctx, time.Hour, func() bool { return false }) {
			t.Error("a false condition was reported as true")
		}
		if elapsed := time.Since(begin); elapsed != 10*time.Millisecond {
			t.Errorf("returned after %s, want 10ms", elapsed)
		}
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if !Pause(t.Context(), time.Second) || time.Since(begin) != time.Second {
			t.Errorf("a pause of 1s took %s, or was said to be cut short", time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if Pause(ctx, time.Hour) {
			t.Error("a pause under a context that has ended was reported as whole")
		}
	})
}
