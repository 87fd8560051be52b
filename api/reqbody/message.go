package reqbody

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that Codec wraps
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// maxMessageFields bounds the top-level fields of a gRPC message that is decoded
// into generated types: a list of empty strings takes 2 bytes each on the wire
// and 16 in memory.
const maxMessageFields = 10_000

// Message is a gRPC message as it came, for a door that decides what it costs
// before it decodes it. It belongs to the goroutine that received it.
type Message struct{ data mem.Buffer }

// Bytes returns the message, valid until Free.
func (m *Message) Bytes() []byte {
	if m.data == nil {
		return nil
	}
	return m.data.ReadOnlyData()
}

// Free returns the memory of the message.
func (m *Message) Free() {
	if m.data != nil {
		m.data.Free()
		m.data = nil
	}
}

// Codec returns the codec of a gRPC server. It receives a *Message without
// decoding it, and counts the fields of all other messages before it decodes
// them.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2("proto")} }

type codec struct{ encoding.CodecV2 }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	if m, ok := v.(*Message); ok {
		m.Free()
		m.data = whole
		return nil
	}
	defer whole.Free()
	if err := countFields(whole.ReadOnlyData()); err != nil {
		return err
	}
	return c.CodecV2.Unmarshal(mem.BufferSlice{whole}, v)
}

// countFields reports a message of more than maxMessageFields. What is no
// protobuf is left to the decoder.
func countFields(b []byte) error {
	for fields := 0; len(b) > 0; fields++ {
		if fields == maxMessageFields {
			return fmt.Errorf("message has more than %d fields", maxMessageFields)
		}
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
	}
	return nil
}
