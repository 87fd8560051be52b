package manifest

import (
	"encoding/binary"
	"math"

	"tsdb/partition/format"
)

// Incarnation tells a database from the one it was before somebody accepted
// that acknowledged samples were lost with its log. The zero value is that of a
// database which never lost any.
type Incarnation struct {
	ID         uint64 // random, changes with every loss that is accepted
	Losses     uint64 // how many were
	AcceptedMs int64  // when the last one was, Unix milliseconds
	// FromMs and ToMs are the wall times, in Unix milliseconds, between which
	// the samples lost last were received, as far as they are known.
	FromMs, ToMs int64
}

// appendIncarnation appends the body of an incarnation.
func appendIncarnation(dst []byte, n *Incarnation) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, n.ID)
	dst = binary.AppendUvarint(dst, n.Losses)
	dst = binary.AppendVarint(dst, n.AcceptedMs)
	dst = binary.AppendVarint(dst, n.FromMs)
	return binary.AppendVarint(dst, n.ToMs)
}

// readIncarnation mirrors appendIncarnation.
func readIncarnation(in *format.Reader) Incarnation {
	return Incarnation{
		ID:         in.Uint64(),
		Losses:     in.Uvarint(math.MaxUint64),
		AcceptedMs: in.Varint(),
		FromMs:     in.Varint(),
		ToMs:       in.Varint(),
	}
}
