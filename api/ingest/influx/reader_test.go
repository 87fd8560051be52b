package influx

import (
	"bytes"
	"testing"

	"tsdb/api/ingest/doortest"
)

// TestUnclosedStringsTakeLinearTime sends a body of unclosed strings. If each
// line searched the rest of the body, the test would take hours.
func TestUnclosedStringsTakeLinearTime(t *testing.T) {
	const lines = 1 << 20
	m := doortest.NewMemory()
	q := acquire(t, m)
	d := q.Decoder
	d.src = bytes.Repeat([]byte("\" v=\"\n"), lines)
	if _, err := q.Store(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.bad.n != lines {
		t.Errorf("%d bad lines, want %d", d.bad.n, lines)
	}
}
