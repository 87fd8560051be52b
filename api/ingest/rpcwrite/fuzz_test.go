package rpcwrite

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// acquire returns a service and a request that decodes into store.
func acquire(t testing.TB, store door.Store, o door.Options) (*Service, *door.Request[*decoder]) {
	t.Helper()
	o.Backend, o.Seed = doortest.Backend{Store: store}, 42
	s := New(door.NewShared(o))
	q, err := s.door.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	return s, q
}

// FuzzDecode checks that random messages neither panic nor store inconsistent
// columns.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x08\x01\x12\x20\x0a\x0d\x0a\x08__name__\x12\x01m\x12\x08\x01\x00\x00\x00\x00\x00\x00\x00\x1a\x08\x01\x00\x00\x00\x00\x00\xf0\x3f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r tsdbv1.WriteRequest
		if proto.Unmarshal(b, &r) != nil {
			return
		}
		m := doortest.NewMemory()
		_, q := acquire(t, m, door.Options{Limits: door.Limits{Labels: 4, NameBytes: 64, ValueBytes: 64}})
		q.Decoder.request = &r
		_ = doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) })
	})
}
