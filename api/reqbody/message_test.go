package reqbody

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	tsdbv1 "tsdb/proto/tsdb/v1"
)

func TestCodecCountsFieldsBeforeItDecodes(t *testing.T) {
	request := func(selectors int) error {
		message := bytes.Repeat([]byte{1<<3 | 2, 0}, selectors)
		var r tsdbv1.SeriesRequest
		if err := Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(message)}, &r); err != nil {
			return err
		}
		return Refusal(&r)
	}
	if err := request(maxMessageFields); err != nil {
		t.Error(err)
	}
	if err := request(2 << 20); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "more than 10000 fields") {
		t.Errorf("two million selectors: %v", err)
	}
}

func TestCodecHandsMessagesOverAsTheyCame(t *testing.T) {
	var m Message
	parts := mem.BufferSlice{mem.SliceBuffer("abc"), mem.SliceBuffer(strings.Repeat("d", 5000))}
	if err := Codec().Unmarshal(parts, &m); err != nil {
		t.Fatal(err)
	}
	if got := string(m.Bytes()); got != "abc"+strings.Repeat("d", 5000) {
		t.Errorf("%d bytes", len(got))
	}
	m.Free()
	m.Free()
	if m.Bytes() != nil {
		t.Error("a freed message has bytes")
	}
}
