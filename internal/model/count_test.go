package model

import "testing"

func TestCountsAgreeWithTheirNouns(t *testing.T) {
	for n, want := range []string{"0 days", "1 day", "2 days"} {
		if got := FormatCount(n, "day"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
