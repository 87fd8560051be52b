package model

import (
	"math"
	"testing"
)

func TestFormatBytes(t *testing.T) {
	f := func(n int64, want string) {
		t.Helper()
		if got := FormatBytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	f(0, "0 B")
	f(1023, "1023 B")
	f(1024, "1 KiB")
	f(1536, "1.5 KiB")
	f(999<<10, "999 KiB")
	f(1000<<10, "0.977 MiB")
	f(32<<20, "32 MiB")
	f(5<<30+1, "5 GiB")
	f(math.MaxInt64, "8 EiB")
}

func TestFormatBytesPairTellsNumbersApart(t *testing.T) {
	f := func(a, b int64, wantA, wantB string) {
		t.Helper()
		if x, y := FormatBytesPair(a, b); x != wantA || y != wantB {
			t.Errorf("%d, %d: %q, %q, want %q, %q", a, b, x, y, wantA, wantB)
		}
	}
	f(300<<10, 600<<10, "300 KiB", "600 KiB")
	f(32<<20-1, 32<<20, "33554431 B", "33554432 B")
	f(1<<20, 1<<20, "1 MiB", "1 MiB")
}
