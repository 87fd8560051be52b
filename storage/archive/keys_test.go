package archive

import (
	"testing"

	"tsdb/partition/block"
)

// Deterministic names repeat after a restore or a loss of the log, with other content.
func TestKeysTellContentApart(t *testing.T) {
	b := block.Info{Name: "raw/2026-03-10/l2-1-2.tsb", Size: 500, CRC: 7}
	p := piece{Segment: 3, Generation: 4, First: 5, Last: 9, RawCRC: 7}
	longer, other, piece2 := b, b, p
	longer.Size, other.CRC, piece2.RawCRC = 501, 8, 8
	keys := map[string]bool{}
	for _, key := range []string{blockKey(1, b), blockKey(1, longer), blockKey(1, other), blockKey(2, b), pieceKey(1, &p), pieceKey(1, &piece2), pieceKey(2, &p)} {
		keys[key] = true
	}
	if len(keys) != 7 {
		t.Errorf("7 objects have %d keys: %v", len(keys), keys)
	}
}
