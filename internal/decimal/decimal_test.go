package decimal

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestParseAny(t *testing.T) {
	f := func(text string, want float64) {
		t.Helper()
		if v, err := ParseAny([]byte(text)); err != nil || math.Float64bits(v) != math.Float64bits(want) {
			t.Errorf("%q: %v %v, want %v", text, v, err, want)
		}
	}
	f("0", 0)
	f("-0", math.Copysign(0, -1))
	f("+1.5e3", 1500)
	f(".5", 0.5)
	f("5.", 5)
	f("123456789012345678901234567890", 123456789012345678901234567890)
	f("4.9e-324", math.SmallestNonzeroFloat64)
	f("NaN", math.Float64frombits(goNaN))
	f("nan", math.Float64frombits(goNaN))
	f("+Inf", math.Inf(1))
	f("-Inf", math.Inf(-1))
	f("Infinity", math.Inf(1))
	for _, text := range []string{"", "-", "+", "+-1", "1e", "1e+", ".", "0x1p4", "0x10", "1_0", "1 ", "x", "1e400", "--1", "1.1.1"} {
		if v, err := ParseAny([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, v)
		}
	}
}

func TestInt(t *testing.T) {
	for _, text := range []string{"0", "-1", "9223372036854775807", "-9223372036854775807"} {
		want, _ := strconv.ParseInt(text, 10, 64)
		if v, err := Int([]byte(text)); err != nil || v != want {
			t.Errorf("%q: %v %v", text, v, err)
		}
	}
	for text, want := range map[string]error{"": ErrSyntax, "-": ErrSyntax, "1.0": ErrSyntax, "9223372036854775808": ErrRange, "99999999999999999999": ErrRange} {
		if _, err := Int([]byte(text)); err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// FuzzParse compares every number with strconv's, to the bit: what one takes the
// other takes, but for the forms that only Go has.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"1", "-1.25e-3", "1e22", "1e23", "9007199254740993", "123456789012345", "0.1e-22", "+5", "Inf", "nan", "1e999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseAny([]byte(s))
		want, wantErr := strconv.ParseFloat(s, 64)
		if strings.ContainsAny(s, "pPxX_") {
			if err == nil {
				t.Fatalf("%q is %v", s, v)
			}
			return
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, strconv %v", s, err, wantErr)
		}
		if err == nil && math.Float64bits(v) != math.Float64bits(want) && v == v {
			t.Fatalf("%q: %v, strconv %v", s, v, want)
		}
	})
}
