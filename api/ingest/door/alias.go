package door

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
)

// Protocol distinguishes the aliases of the protocols: the same bytes name
// different series in different protocols. Numbers are unique.
type Protocol byte

const (
	RemoteWrite1   Protocol = 1
	RemoteWrite2   Protocol = 2
	Influx         Protocol = 3
	RPC            Protocol = 4
	JSONLines      Protocol = 5
	OTLP           Protocol = 6
	Text           Protocol = 8
	CSV            Protocol = 9
	MetricFamilies Protocol = 10
	Scrape         Protocol = 11
	OpenTSDB       Protocol = 20
	DataDogJSON    Protocol = 21
	DataDogMessage Protocol = 22
	Graphite       Protocol = 23
)

// aliasSeed derives the alias seed of a request from the seed of the process and
// everything else that determines which series the bytes name: the protocol, the
// tenant, the generation of the configuration, and the parameters that change
// labels, in a canonical order. Two seeds collide with probability 2^-64.
func aliasSeed(process uint64, p Protocol, tenant uint32, generation uint64, params ...string) uint64 {
	b := make([]byte, 0, 64)
	b = append(b, byte(p))
	b = binary.LittleEndian.AppendUint32(b, tenant)
	b = binary.LittleEndian.AppendUint64(b, generation)
	for _, s := range params {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	// xxh3 takes zero for "no seed" and falls back to public constants.
	return xxh3.HashSeed(b, process) | 1
}

// maxDirectSeedBytes is the longest input for which xxh3 uses the seed directly.
// For longer input it first derives a 192-byte secret from the seed, which costs
// more than hashing the labels of a typical series.
const maxDirectSeedBytes = 240

// AliasOf hashes the bytes that name a series. Input longer than
// maxDirectSeedBytes, up to twice that, is hashed in two halves, the first
// seeding the second.
func AliasOf(seed uint64, b []byte) model.Hash {
	if len(b) <= maxDirectSeedBytes || len(b) > 2*maxDirectSeedBytes {
		h := xxh3.Hash128Seed(b, seed)
		return model.Hash{Hi: h.Hi, Lo: h.Lo}
	}
	// Halves, because xxh3 is fastest for input of up to 128 bytes.
	first := xxh3.Hash128Seed(b[:len(b)/2], seed)
	rest := xxh3.Hash128Seed(b[len(b)/2:], first.Lo|1)
	return model.Hash{Hi: rest.Hi ^ first.Hi, Lo: rest.Lo}
}

// AppendHash appends a hash to bytes that are hashed in turn.
func AppendHash(dst []byte, h model.Hash) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, h.Hi)
	return binary.LittleEndian.AppendUint64(dst, h.Lo)
}
