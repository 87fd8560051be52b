package decimal

import (
	"encoding/binary"
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
	for _, text := range []string{"0", "18446744073709551615", "000000000000000000000001"} {
		want, _ := strconv.ParseUint(text, 10, 64)
		if v, err := Uint([]byte(text)); err != nil || v != want {
			t.Errorf("%q: %d %v", text, v, err)
		}
	}
	for text, want := range map[string]error{"": ErrSyntax, "-1": ErrSyntax, "1.0": ErrSyntax, "18446744073709551616": ErrRange, "18446744073709551616x": ErrSyntax} {
		if _, err := Uint([]byte(text)); err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	for text, want := range map[string]error{"": ErrSyntax, "-": ErrSyntax, "1.0": ErrSyntax, "9223372036854775808": ErrRange, "99999999999999999999": ErrRange} {
		if _, err := Int([]byte(text)); err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// The number at the start of a text is that of its own text, whatever follows.
func TestLeading(t *testing.T) {
	numbers := []string{"0", "-0", "7", "12345678", "-123456789", "1234567890123", "0.5", "-.25", "12345678.12345678", "1.", "1e5", "1.5E-7", "0.8414709848078965",
		"123456789012345678901234567890", "1e300", "18446744073709551616"}
	for _, number := range numbers {
		want, err := Parse([]byte(number))
		if err != nil {
			t.Fatal(number, err)
		}
		for _, rest := range []string{"", ",", "]", " 5", "\n12345678", "x", "+1", "-", "/", ":", "\x00\xff"} {
			v, n, err := Leading([]byte(number + rest))
			if err != nil || n != len(number) || math.Float64bits(v) != math.Float64bits(want) {
				t.Errorf("%q: %v of %d bytes, %v; want %v of %d", number+rest, v, n, err, want, len(number))
			}
			i, n, err := LeadingInt([]byte(number + rest))
			whole := strings.TrimLeft(number, "-")
			whole = whole[:len(whole)-len(strings.TrimLeft(whole, "0123456789"))]
			if len(whole) == 0 {
				if err != ErrSyntax {
					t.Errorf("%q: %d, %v", number+rest, i, err)
				}
				continue
			}
			if strings.HasPrefix(number, "-") {
				whole = "-" + whole
			}
			wantInt, wantErr := strconv.ParseInt(whole, 10, 64)
			if n != len(whole) || (err == nil) != (wantErr == nil) || err == nil && i != wantInt {
				t.Errorf("%q: %d of %d bytes, %v; want %d of %d, %v", number+rest, i, n, err, wantInt, len(whole), wantErr)
			}
		}
	}
	for _, text := range []string{"", "-", "x", ".", "e5", "1e", "1e+", "1ex", "--1", "+1"} {
		if v, _, err := Leading([]byte(text)); err != ErrSyntax {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
	if v, n, err := Leading([]byte("1e400,")); n != 5 || err != ErrRange {
		t.Errorf("1e400: %v of %d bytes, %v", v, n, err)
	}
	if _, err := ParseAny([]byte("1e400")); err != ErrRange {
		t.Error(err)
	}
	if _, err := ParseAny([]byte("1e400,")); err != ErrSyntax {
		t.Error(err)
	}
}

// Each byte that is no digit is found, at each of eight places.
func TestEightDigits(t *testing.T) {
	for at := range 8 {
		for c := range 256 {
			text := []byte("98765432")
			text[at] = byte(c)
			v, ok := eightDigits(binary.LittleEndian.Uint64(text))
			want, err := strconv.ParseUint(string(text), 10, 64)
			if ok != (err == nil) || ok && v != want {
				t.Errorf("%q: %d, %v; want %d", text, v, ok, want)
			}
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, text := range []string{"7", "21.5", "123456", "1234567.25", "0.8414709848078965", "1.5e-07"} {
		b.Run("value="+text, func(b *testing.B) {
			src := []byte(text)
			for b.Loop() {
				if _, err := ParseAny(src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, text := range []string{"1790000000", "1790000000123", "1790000000123456789"} {
		b.Run("time="+text, func(b *testing.B) {
			src := []byte(text)
			for b.Loop() {
				if _, err := Int(src); err != nil {
					b.Fatal(err)
				}
			}
		})
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
		u, err := Uint([]byte(s))
		if want, wantErr := strconv.ParseUint(s, 10, 64); (err == nil) != (wantErr == nil) || u != want && err == nil {
			t.Fatalf("%q: %d, %v; strconv %d, %v", s, u, err, want, wantErr)
		}
		n, err := Int([]byte(s))
		wantInt, wantErr := strconv.ParseInt(s, 10, 64)
		if strings.HasPrefix(s, "+") || wantInt == math.MinInt64 {
			return
		}
		if (err == nil) != (wantErr == nil) || err == nil && n != wantInt {
			t.Fatalf("%q: %d, %v; strconv %d, %v", s, n, err, wantInt, wantErr)
		}
	})
}
