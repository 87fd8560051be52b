package objstore

import (
	"fmt"
	"hash/crc32"
)

// TailBytes is the length of the tail that an Identity covers.
const TailBytes = 4 << 10

// Identity tells apart objects of one key. It needs the last bytes of an object
// only, so it is cheap to read. Objects whose formats end in checksums that cover
// everything before, as blocks do, are the same if their identities are.
type Identity struct {
	Size    int64
	TailCRC uint32 // CRC-32C of the last TailBytes bytes, of all if there are fewer

	// sum is another checksum of these bytes, 0 in what Recorded returns. TailCRC does not
	// depend on what a CRC-32C among the bytes covers: it is the same of all short objects
	// that end in one.
	sum uint32
}

// Recorded returns the identity without what formats do not record, to be compared with
// one that was read from a file.
func (i Identity) Recorded() Identity { return Identity{Size: i.Size, TailCRC: i.TailCRC} }

func (i Identity) String() string { return fmt.Sprintf("%d bytes with tail %08x", i.Size, i.TailCRC) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// IdentityOf returns the identity of an object of size bytes that ends in tail.
func IdentityOf(size int64, tail []byte) Identity {
	tail = tail[max(0, len(tail)-TailBytes):]
	return Identity{Size: size, TailCRC: crc32.Checksum(tail, castagnoli), sum: crc32.ChecksumIEEE(tail)}
}

// Tail keeps the last TailBytes bytes of what is written, for the Identity of an object.
type Tail struct{ b []byte }

// Write appends p.
func (t *Tail) Write(p []byte) {
	if t.b == nil {
		t.b = make([]byte, 0, TailBytes)
	}
	p = p[max(0, len(p)-TailBytes):]
	if drop := len(t.b) + len(p) - TailBytes; drop > 0 {
		t.b = t.b[:copy(t.b, t.b[drop:])]
	}
	t.b = append(t.b, p...)
}

// Identity returns the identity of an object of size bytes that ends in the tail.
func (t *Tail) Identity(size int64) Identity { return IdentityOf(size, t.b) }
