package rpcwrite

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/api/ingest/wire"
	"tsdb/api/reqbody"
	tsdbv1 "tsdb/proto/tsdb/v1"
)

func field(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// bombs returns messages of n bytes that take many times that once decoded.
func bombs(n int) map[string][]byte {
	empty := func(number protowire.Number) []byte { return bytes.Repeat(field(number, nil), n/2) }
	histogram := func(content []byte) []byte { return field(2, field(5, content)) }
	return map[string][]byte{
		"series":            empty(2),
		"metadata":          empty(3),
		"labels":            field(2, empty(1)),
		"histograms":        field(2, empty(5)),
		"exemplars":         field(2, empty(6)),
		"exemplar labels":   field(2, field(6, empty(1))),
		"columns":           field(2, field(3, make([]byte, n))),
		"times one by one":  field(2, bytes.Repeat([]byte{2<<3 | wire.Fixed64, 0, 0, 0, 0, 0, 0, 0, 0}, n/8)),
		"spans":             histogram(empty(7)),
		"custom values":     histogram(field(9, make([]byte, n))),
		"counts":            histogram(empty(10)),
		"deltas":            histogram(field(10, field(3, make([]byte, n)))),
		"deltas one by one": histogram(field(10, bytes.Repeat([]byte{3 << 3, 0}, n/2))),
		"float counts":      histogram(field(11, field(3, make([]byte, n)))),
	}
}

// TestCostCoversWhatIsDecoded: the cost of a message is at least the memory that
// its decoded form keeps.
func TestCostCoversWhatIsDecoded(t *testing.T) {
	for name, message := range bombs(1 << 18) {
		t.Run(name, func(t *testing.T) {
			cost, err := costOf(message)
			if err != nil {
				t.Fatal(err)
			}
			r := &tsdbv1.WriteRequest{}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			if err := proto.Unmarshal(message, r); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > cost+1<<16 {
				t.Errorf("%d bytes are kept of %d, the cost is %d", kept, len(message), cost)
			}
			runtime.KeepAlive(r)
		})
	}
	if _, err := costOf([]byte{2<<3 | wire.Bytes, 5, 0}); err == nil {
		t.Error("a truncated message has a cost")
	}
}

// TestBombsAreRefusedBeforeTheyAreDecoded: a message that would take too much is
// refused before it is decoded.
func TestBombsAreRefusedBeforeTheyAreDecoded(t *testing.T) {
	budget := reqbody.NewBudget(reqbody.Options{Limit: 64 << 20})
	s, q := acquire(t, doortest.NewMemory(), door.Options{Budget: budget})
	for _, name := range []string{"series", "labels", "histograms", "spans", "exemplar labels"} {
		message := bombs(2 << 20)[name]
		m := &reqbody.Message{}
		if err := reqbody.Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(message)}, m); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := s.take(t.Context(), q, m, 0)
		runtime.ReadMemStats(&after)
		var request *door.RequestError
		if !errors.As(err, &request) || !strings.Contains(err.Error(), "once decoded, the limit is 33554432") {
			t.Errorf("%s: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
	if n := budget.Used(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}
