package manifest

import (
	"bytes"
	"testing"

	"tsdb/partition/format"
)

// Each byte of both copies is damaged, in two different places: everything is
// found again.
func TestSalvageCombinesTwoCopies(t *testing.T) {
	whole, want := twoCopies(t)
	a, b := whole[format.ManifestName], whole[format.TwinName]
	for i := range a {
		x, y := bytes.Clone(a), bytes.Clone(b)
		x[i] ^= 0x55
		y[(i*7+13)%len(y)] ^= 0x55
		if (i*7+13)%len(y) == i {
			continue
		}
		s := Salvage([][]byte{x, y})
		if len(s.Chains) == 0 {
			t.Fatalf("damage at %d and %d: nothing found", i, (i*7+13)%len(y))
		}
		sameState(t, "salvaged", s.Chains[0], want)
	}
}
