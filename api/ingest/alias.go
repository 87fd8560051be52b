package ingest

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
)

// protocol tells the aliases of the doors apart: equal bytes mean different
// series in different protocols.
type protocol byte

const (
	protocolWrite1 protocol = 1
	protocolWrite2 protocol = 2
	protocolInflux protocol = 3
	protocolRPC    protocol = 4
)

// tenant is the only one there is today; it is part of every alias already.
const tenant uint32 = 0

// aliasSeed derives the seed of the aliases of a request from the seed of the
// process and from all that changes what series its bytes name: protocol,
// tenant, generation of the configuration, and label parameters in a canonical
// order. Two seeds are equal with a chance of 2^-64.
func aliasSeed(process uint64, p protocol, generation uint64, params ...string) uint64 {
	b := make([]byte, 0, 64)
	b = append(b, byte(p))
	b = binary.LittleEndian.AppendUint32(b, tenant)
	b = binary.LittleEndian.AppendUint64(b, generation)
	for _, s := range params {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	// Zero means "no seed" to xxh3, which then uses constants anybody knows.
	return xxh3.HashSeed(b, process) | 1
}

// maxDirectSeedBytes is the longest input for which xxh3 uses the seed as it is; for a
// longer one it derives a secret of 192 bytes from the seed first, which costs
// more than hashing the labels of a usual series.
const maxDirectSeedBytes = 240

// aliasOf hashes bytes that name a series. Up to two short runs are hashed one
// after the other, the hash of the first seeding that of the second.
func aliasOf(seed uint64, b []byte) model.Hash {
	if len(b) <= maxDirectSeedBytes || len(b) > 2*maxDirectSeedBytes {
		h := xxh3.Hash128Seed(b, seed)
		return model.Hash{Hi: h.Hi, Lo: h.Lo}
	}
	// Halves, because a hash of up to 128 bytes is the quickest of all.
	first := xxh3.Hash128Seed(b[:len(b)/2], seed)
	rest := xxh3.Hash128Seed(b[len(b)/2:], first.Lo|1)
	return model.Hash{Hi: rest.Hi ^ first.Hi, Lo: rest.Lo}
}

// appendHash adds a hash to bytes that will themselves be hashed.
func appendHash(dst []byte, h model.Hash) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, h.Hi)
	return binary.LittleEndian.AppendUint64(dst, h.Lo)
}
