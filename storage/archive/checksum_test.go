package archive

import (
	"encoding/binary"

	"tsdb/encoding"
)

// withChecksum returns b with its last four bytes replaced by the checksum of those
// before, so that a fuzz target gets past it.
func withChecksum(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	body := b[: len(b)-4 : len(b)-4]
	return binary.LittleEndian.AppendUint32(body, encoding.Checksum(body))
}
