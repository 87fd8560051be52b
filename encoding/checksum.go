package encoding

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC-32C of b.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ChecksumSeeded returns the CRC-32C of b continued from seed, the checksum of the
// bytes before b: ChecksumSeeded(Checksum(a), b) is the checksum of a followed by b.
// A seed derived from the position of b makes a copy at another position invalid.
func ChecksumSeeded(seed uint32, b []byte) uint32 { return crc32.Update(seed, castagnoli, b) }
