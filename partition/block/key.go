package block

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Level is the merge level of a block.
type Level uint8

// The levels of blocks.
const (
	L0 Level = 0 // one cut, all partitions
	L1 Level = 1 // merged cuts of one partition
	L2 Level = 2 // the partition, or one of its key-disjoint parts
)

func (l Level) valid() bool { return l <= L2 }

func (l Level) String() string {
	if !l.valid() {
		return fmt.Sprintf("Level(%d)", uint8(l))
	}
	return [...]string{"L0", "L1", "L2"}[l]
}

// NoPartition is the partition of a block that spans partitions (L0).
const NoPartition int64 = math.MinInt64

// Key identifies the run of a block: the blocks of one level of one partition of
// one tier. Keys are comparable, and ordered by Compare.
type Key struct {
	Tier      Tier
	Partition int64 // first millisecond of the partition; NoPartition for L0
	Level     Level
}

// SpanningKey returns the key of blocks that span the partitions of the raw
// tier.
func SpanningKey(l Level) Key { return Key{Tier: Raw, Partition: NoPartition, Level: l} }

// KeyAt returns the key of the blocks of a level in the partition that holds ms.
func (t Tier) KeyAt(ms int64, l Level) Key {
	return Key{Tier: t, Partition: t.PartitionStart(ms), Level: l}
}

// At returns the key of another level of the same partition.
func (k Key) At(l Level) Key {
	k.Level = l
	return k
}

// SamePartition reports whether k and o are levels of one partition.
func (k Key) SamePartition(o Key) bool { return k.Tier == o.Tier && k.Partition == o.Partition }

// Range returns the times of the partition. The key must have one.
func (k Key) Range() model.TimeRange { return k.Tier.PartitionRange(k.Partition) }

// Holds reports whether Partition is the start of a partition that contains the
// times from min to max, both inclusive.
func (k Key) Holds(min, max int64) bool {
	return k.Tier.PartitionStart(k.Partition) == k.Partition && min >= k.Partition && max >= min &&
		uint64(max-k.Partition) < uint64(k.Tier.PartitionMs())
}

// Compare orders keys by tier, partition and level.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Tier, o.Tier), cmp.Compare(k.Partition, o.Partition), cmp.Compare(k.Level, o.Level))
}

// Dir returns the directory of the blocks of k, relative to the data directory,
// for instance raw/2026-11-21.
func (k Key) Dir() string {
	if k.Partition == NoPartition {
		return format.L0Dir
	}
	return path.Join(k.Tier.Dir(), time.UnixMilli(model.SubTime(k.Partition, 1)).UTC().Format(time.DateOnly))
}
