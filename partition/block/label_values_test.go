package block

import (
	"strings"
	"testing"
)

// Values of all lengths are found at their places, also those longer than a slab and
// those added after them.
func TestLabelValues(t *testing.T) {
	var a labelValues
	var places []uint32
	var want []string
	for _, n := range []int{0, 1, 2, 3, 127, 128, 129, 1 << 14, valueSlab - 3, valueSlab, 3 * valueSlab, 5, 1<<21 + 1, 7} {
		for _, c := range []string{"a", "b"} {
			want = append(want, strings.Repeat(c, n))
			places = append(places, a.add(want[len(want)-1]))
		}
	}
	for i := range 100_000 {
		want = append(want, strings.Repeat("x", i%50))
		places = append(places, a.add(want[len(want)-1]))
	}
	for i, p := range places {
		if got := a.at(p); got != want[i] {
			t.Fatalf("value %d at %d: %d bytes, want %d", i, p, len(got), len(want[i]))
		}
	}
	if a.err != nil {
		t.Error(a.err)
	}
	a.slabs = make([]*strings.Builder, valueSlabs)
	a.slabs[valueSlabs-1] = new(strings.Builder)
	if a.add("last"); a.err != nil {
		t.Error(a.err)
	}
	if a.add(strings.Repeat("x", valueSlab)); a.err == nil {
		t.Error("a value without a place")
	}
}

// Equal pairs have one number, whatever is guessed.
func TestPairTable(t *testing.T) {
	var p pairTable
	const n = 5000
	for range 2 {
		for i := range uint32(n) {
			name, value := [2]string{"x", "y"}[i%2], strings.Repeat("v", int(i/2%7))+string(rune('a'+i/14))
			if got := p.pair(name, value, i/3*2); got != i {
				t.Fatalf("pair %d has number %d", i, got)
			}
		}
	}
	if p.n != n || len(p.slots) >= 4*n {
		t.Errorf("%d pairs in %d slots", p.n, len(p.slots))
	}
}
