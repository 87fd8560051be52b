package model

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/zeebo/xxh3"
)

// Shards is the number of head shards and of frame streams in the WAL. It is
// fixed by the format: a series' shard is the low bits of its identity.
const Shards = 16

// Hash is a 128-bit hash of something a client sent (an alias). It has no meaning
// outside the process that computed it.
type Hash struct{ Hi, Lo uint64 }

// Identity identifies a series in every block, permanently: a 128-bit hash of
// tenant and sorted labels, with a seed generated when the database was created.
type Identity struct{ Hi, Lo uint64 }

// Shard returns the head shard of the series.
func (id Identity) Shard() int { return int(id.Lo % Shards) }

func (id Identity) String() string { return fmt.Sprintf("%016x%016x", id.Hi, id.Lo) }

// AppendLabels appends the canonical form of a label set to dst: for every
// label, sorted by name, the uvarint length and the bytes of its name, then of
// its value. Identities are hashes of this form, so it never changes.
func AppendLabels(dst []byte, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) {
		dst = binary.AppendUvarint(dst, uint64(len(l.Name)))
		dst = append(dst, l.Name...)
		dst = binary.AppendUvarint(dst, uint64(len(l.Value)))
		dst = append(dst, l.Value...)
	})
	return dst
}

// IdentityOf returns the identity of a series, and scratch for the next call. ls
// is sorted by name.
func IdentityOf(seed uint64, tenant uint32, ls labels.Labels, scratch []byte) (Identity, []byte) {
	b := binary.LittleEndian.AppendUint32(scratch[:0], tenant)
	b = AppendLabels(b, ls)
	h := xxh3.Hash128Seed(b, seed)
	return Identity{Hi: h.Hi, Lo: h.Lo}, b
}

// Ref refers to a series in the head of this process: shard (4 bits), slot in the
// shard (28 bits) and the slot's epoch (32 bits). A slot's epoch changes when its
// series is evicted, so stale refs are detected. Zero is not a ref: epochs start at
// 1.
type Ref uint64

// MaxSlots is the largest number of slots a shard can have.
const MaxSlots = 1 << 28

// MakeRef packs a ref. It panics on a shard or slot out of range.
func MakeRef(shard int, slot, epoch uint32) Ref {
	if uint(shard) >= Shards || slot >= MaxSlots {
		panic(fmt.Sprintf("BUG: ref of shard %d, slot %d", shard, slot))
	}
	return Ref(uint64(shard)<<60 | uint64(slot)<<32 | uint64(epoch))
}

// Shard returns the ref's shard, 0 ≤ shard < Shards.
func (r Ref) Shard() int { return int(r >> 60) }

// Slot returns the ref's slot in its shard.
func (r Ref) Slot() uint32 { return uint32(r>>32) & (MaxSlots - 1) }

// Epoch returns the epoch the slot had when the ref was made.
func (r Ref) Epoch() uint32 { return uint32(r) }
