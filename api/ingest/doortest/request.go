package doortest

import (
	"testing"

	"tsdb/api/ingest/door"
)

// NewShared returns what the doors of a server share, in front of a store.
func NewShared(s door.Store) *door.Shared {
	return door.NewShared(door.Options{Backend: Backend{Store: s}, Seed: 42})
}

// Acquire returns the state for a request of a door.
func Acquire[D door.Decoder](t testing.TB, d *door.Door[D]) *door.Request[D] {
	t.Helper()
	q, err := d.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// StepOf returns the steps of a door whose bodies are not compressed; set makes a body the
// request of a decoder.
func StepOf[D door.Decoder](t testing.TB, open func(*door.Shared) *door.Door[D], set func(d D, body []byte)) func(door.Store) Step {
	return func(s door.Store) Step {
		q := Acquire(t, open(NewShared(s)))
		return func(body []byte) {
			set(q.Decoder, body)
			r, err := q.Store(t.Context())
			CheckStored(t, r, err)
			q.Decoder.Release()
		}
	}
}
