package influx

import (
	"math"
	"strconv"
	"testing"
)

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

func TestFloatsEqualStrconv(t *testing.T) {
	f := func(s string) {
		t.Helper()
		v, err := parseValue([]byte(s))
		want := mustFloat(s)
		if err != nil || math.Float64bits(v) != math.Float64bits(want) {
			t.Errorf("%s: %v (%x), %v, want %v", s, v, math.Float64bits(v), err, want)
		}
	}
	for _, s := range []string{"0", "-0", "0.1", "-0.3", "123456789012345", "999999999999999e22", "1e-22", "1e23", "123456789.123456789e-20",
		"9007199254740993", "9007199254740992.5", "4.9e-324", "2.4e-324", "1e-400", "1.7976931348623157e308", "00001.5", "1e0", "1E+2",
		"179769313486231570000000000000000000000", ".000000000000000000000000000000000001", "0.30000000000000004"} {
		f(s)
	}
}

func mustFloat(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return v
}
