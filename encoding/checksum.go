package encoding

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC-32C of b.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ChecksumSeeded returns the CRC-32C of b continued from seed, the checksum of
// what comes before: ChecksumSeeded(Checksum(a), b) is Checksum of a and b
// together. A seed that names where b belongs makes a copy elsewhere invalid.
func ChecksumSeeded(seed uint32, b []byte) uint32 { return crc32.Update(seed, castagnoli, b) }
