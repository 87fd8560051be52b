package remotewrite

import (
	"bytes"
	"errors"
	"testing"

	"tsdb/api/ingest/door"
)

// TestSymbolsAreChargedBeforeTheyAreKept: a message of empty symbols takes twelve
// times its size. Capacity beyond maxPooledSymbols is charged before it is
// allocated.
func TestSymbolsAreChargedBeforeTheyAreKept(t *testing.T) {
	refuse := errors.New("no room")
	for _, c := range []struct {
		symbols int
		want    int64 // charged at most once more before it is refused
	}{{1000, 0}, {maxPooledSymbols, 0}, {maxPooledSymbols + 1, 2 * maxPooledSymbols * symbolBytes}, {maxSymbols, 2 * maxPooledSymbols * symbolBytes}} {
		d := newDecoder2(&door.MetadataCache{})
		d.src = bytes.Repeat([]byte{tag2Symbol, 0}, c.symbols)
		charged := int64(0)
		d.charge = func(n int64) error {
			charged += n
			return refuse
		}
		if err := d.readSymbols(42); (err != nil) != (c.want > 0) || err != nil && !errors.Is(err, refuse) {
			t.Errorf("%d symbols: %v", c.symbols, err)
		}
		if charged != c.want || cap(d.symbols) > maxPooledSymbols*5/4 {
			t.Errorf("%d symbols: %d bytes charged, want %d; room for %d", c.symbols, charged, c.want, cap(d.symbols))
		}
	}
}
