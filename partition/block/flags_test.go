package block

import "testing"

// All 16 bits of the flags are defined or refused; the byte of older versions has no
// kinds but those of samples.
func TestRowFlagsAreAClosedSet(t *testing.T) {
	valid := 0
	for i := range 1 << 16 {
		f := rowFlags(i)
		if !f.valid() {
			continue
		}
		valid++
		if f&^rowFlagsKnown != 0 || !f.kind().valid() || f.rung() > maxRung {
			t.Fatalf("flags %#x are valid", i)
		}
		if again := f&(rowBad|rowStarts|rowAggregate) | flagsOf(f.kind()) | rungFlags(f.rung()); again != f {
			t.Fatalf("flags %#x are put together as %#x", i, again)
		}
	}
	// Per rung: floats with or without starts and aggregate, or bad; histograms with or
	// without starts, or bad. Buckets and stand-ins have no marks.
	if want := (maxRung+1)*(4+1+2+1) + 2; valid != want {
		t.Errorf("%d valid flags, want %d", valid, want)
	}
	for i := range 256 {
		b := byte(i)
		f := flagsOfByte(b)
		if f.rung() != b>>4 || f.kind() != Kind(b&1) || (f&rowBad != 0) != (b&2 != 0) ||
			(f&rowStarts != 0) != (b&4 != 0) || (f&rowAggregate != 0) != (b&8 != 0) || f&^rowFlagsKnown != 0 {
			t.Errorf("byte %#x gives flags %#x", i, uint16(f))
		}
	}
}
