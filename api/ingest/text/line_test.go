package text

import (
	"math"
	"math/rand"
	"strings"
	"testing"
)

// A line that is known to repeat the series of the one before is read as any other.
func TestParseAgain(t *testing.T) {
	parts := []string{`m`, `{a="b"}`, `{a="}"}`, `{a="#"}`, `{`, `}`, " ", "\t", "1", "-2.5e3", "NaN", "1790000000123", "1790000000.25", "x", "# {id=\"x\"} 1", "#", "+Inf", `m{a="b"}`}
	r := rand.New(rand.NewSource(1))
	read := 0
	for range 300_000 {
		var b strings.Builder
		series := []string{`m`, `m{a="b"}`, `m {a="}"}`, `{"m",a="b"}`, `m{a="#"}`}[r.Intn(5)]
		if r.Intn(8) > 0 {
			b.WriteString(series)
		}
		for i := range r.Intn(5) {
			if i%2 == 0 && r.Intn(4) > 0 {
				b.WriteString(" ")
			}
			b.WriteString(parts[r.Intn(len(parts))])
		}
		line := trim([]byte(b.String()))
		unit := timeUnit(r.Intn(3))
		var fast, slow point
		if len(line) == 0 || line[0] == '#' || !fast.parseAgain(line, []byte(series), unit) {
			continue
		}
		read++
		if bad := slow.parse(line, unit); bad != nil {
			t.Fatalf("%q: read, although %s", line, bad.text)
		}
		if string(fast.series) != string(slow.series) || math.Float64bits(fast.v) != math.Float64bits(slow.v) || fast.timed != slow.timed ||
			fast.timed && fast.t != slow.t || fast.exemplar != nil || slow.exemplar != nil {
			t.Fatalf("%q: %+v, want %+v", line, fast, slow)
		}
	}
	if read < 10_000 {
		t.Errorf("only %d lines were read", read)
	}
}
