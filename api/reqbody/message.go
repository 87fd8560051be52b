package reqbody

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that Codec wraps
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
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

// Encoded is an answer of a gRPC method in its wire format, for a door that encodes
// its answers itself.
type Encoded []byte

// refusalField is the number of the unknown field that stands for a message that
// could not be decoded: the last number there is.
const refusalField = protowire.MaxValidNumber

// Codec returns the codec of a gRPC server. It receives a *Message without
// decoding it, and counts the fields of all other messages before it decodes
// them. It sends an Encoded as it is.
//
// gRPC answers INTERNAL to every error of a codec. So a message that cannot be
// decoded is received empty, with the reason in an unknown field, and Refusal
// tells the interceptors.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2("proto")} }

type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(Encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	if m, ok := v.(*Message); ok {
		m.Free()
		m.data = whole
		return nil
	}
	defer whole.Free()
	err := countFields(whole.ReadOnlyData())
	if err == nil {
		err = c.CodecV2.Unmarshal(mem.BufferSlice{whole}, v)
	}
	m, ok := v.(proto.Message)
	if err == nil || !ok {
		return err
	}
	proto.Reset(m)
	m.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, refusalField, protowire.BytesType), err.Error()))
	return nil
}

// Refusal returns an INVALID_ARGUMENT status if the codec could not decode the
// message, nil if it did.
func Refusal(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	number, kind, n := protowire.ConsumeTag(m.ProtoReflect().GetUnknown())
	if n < 0 || number != refusalField || kind != protowire.BytesType {
		return nil
	}
	reason, _ := protowire.ConsumeBytes(m.ProtoReflect().GetUnknown()[n:])
	return status.Error(codes.InvalidArgument, strings.ToValidUTF8(string(reason), "\uFFFD"))
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
