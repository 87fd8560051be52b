package model

import (
	"math"
	"math/big"
	"testing"
	"time"
)

func TestTimesOfSamplesAreThoseOfNanoseconds(t *testing.T) {
	for _, c := range []struct {
		got  int64
		want string
	}{{MinTime, "1677-09-21T00:12:43.145Z"}, {MaxTime, "2262-04-11T23:47:16.854Z"}} {
		if s := time.UnixMilli(c.got).UTC().Format(time.RFC3339Nano); s != c.want {
			t.Errorf("%d is %s, want %s", c.got, s, c.want)
		}
	}
	for v, want := range map[int64]bool{
		MinTime: true, MaxTime: true, 0: true, MinTime - 1: false, MaxTime + 1: false, math.MinInt64: false, math.MaxInt64: false,
	} {
		if ValidTime(v) != want || AllTime.Contains(v) != want {
			t.Errorf("%d: valid is %v, want %v", v, ValidTime(v), want)
		}
	}
}

// extremes returns times around which arithmetic overflows or changes its sign.
func extremes() []int64 {
	var ts []int64
	for _, at := range []int64{math.MinInt64, math.MinInt64 + DayMs, MinTime, -DayMs, 0, DayMs, MaxTime, math.MaxInt64 - DayMs, math.MaxInt64} {
		for _, d := range []int64{-DayMs, -808, -2, -1, 0, 1, 2, 808, DayMs} {
			ts = append(ts, at+d) // may wrap around to another extreme
		}
	}
	return ts
}

// clamped returns v saturated to the range of int64.
func clamped(v *big.Int) int64 {
	switch {
	case v.Cmp(big.NewInt(math.MaxInt64)) > 0:
		return math.MaxInt64
	case v.Cmp(big.NewInt(math.MinInt64)) < 0:
		return math.MinInt64
	}
	return v.Int64()
}

func TestTimesAddUpAtBothEnds(t *testing.T) {
	for _, a := range extremes() {
		for _, b := range extremes() {
			x, y := big.NewInt(a), big.NewInt(b)
			if got, want := AddTime(a, b), clamped(new(big.Int).Add(x, y)); got != want {
				t.Errorf("%d + %d is %d, want %d", a, b, got, want)
			}
			if got, want := SubTime(a, b), clamped(new(big.Int).Sub(x, y)); got != want {
				t.Errorf("%d - %d is %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestInclusive(t *testing.T) {
	if got, want := Inclusive(1, 2), (TimeRange{Min: 1, Max: 3}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Inclusive(1, math.MaxInt64); got.Max != math.MaxInt64 {
		t.Errorf("%v", got)
	}
}
