package manifest

import (
	"encoding/binary"
	"math"

	"tsdb/partition/format"
)

// Incarnation tells a database apart from others that share a part of its history:
// its state before a restore or before an operator accepted the loss of acknowledged
// samples from the WAL, and its snapshots once they are opened. Names of blocks,
// generations and LSNs are unique in an incarnation only.
type Incarnation struct {
	ID         uint64 // random; 0 in a database that no program has opened that knows it
	Losses     uint64 // number of accepted losses
	AcceptedMs int64  // time of the last one, Unix milliseconds
	// FromMs and ToMs are the wall times, in Unix milliseconds, between which
	// the samples of the last loss were received; 0 if unknown.
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

// readIncarnation reads the body that appendIncarnation writes.
func readIncarnation(in *format.Reader) Incarnation {
	return Incarnation{
		ID:         in.Uint64(),
		Losses:     in.Uvarint(math.MaxUint64),
		AcceptedMs: in.Varint(),
		FromMs:     in.Varint(),
		ToMs:       in.Varint(),
	}
}
