package ingest

import (
	"math"
	"strconv"
	"testing"
)

func mustFloat(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return v
}

// FuzzFloat compares parseFloat with strconv. Accepted numbers have the same bits;
// refused ones are out of range or not in the grammar of fields.
func FuzzFloat(f *testing.F) {
	for _, s := range []string{"1", "-1.5", ".5", "1.", "1e5", "1e400", "+5", "0x10", "1_000", "NaN", "", "-", ".", "1e", "1e+", "--1", "1.2.3", "9007199254740993e-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" {
			return
		}
		v, bad := parseFloat([]byte(s))
		want, err := strconv.ParseFloat(s, 64)
		if bad == nil {
			if err != nil || math.Float64bits(v) != math.Float64bits(want) || math.IsInf(v, 0) || math.IsNaN(v) {
				t.Fatalf("%q: %v, strconv %v, %v", s, v, want, err)
			}
			return
		}
		if err == nil && inGrammar(s) {
			t.Fatalf("%q: %v, strconv %v", s, bad, want)
		}
	})
}

// inGrammar reports whether s has only characters of a float field and no leading
// plus.
func inGrammar(s string) bool {
	for i, c := range s {
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' || i == 0 && c == '+' {
			return false
		}
	}
	return true
}
