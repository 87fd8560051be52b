package block

import (
	"fmt"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Tier is the resolution of stored samples. It determines the length of the
// partitions and the directory of their blocks. A tier is not written to disk,
// because all blocks are of the raw tier.
type Tier uint8

// The tiers.
const (
	Raw     Tier = 0 // samples as they were received
	tierEnd Tier = 1
)

// rawPartitionMs is the length of a partition of the raw tier, which the window
// ladder divides.
const rawPartitionMs = model.DayMs

func (t Tier) valid() bool { return t < tierEnd }

// mustBeKnown panics if t is not a valid tier.
func (t Tier) mustBeKnown() {
	if !t.valid() {
		panic(fmt.Sprintf("BUG: tier %d", uint8(t)))
	}
}

func (t Tier) String() string {
	if !t.valid() {
		return fmt.Sprintf("Tier(%d)", uint8(t))
	}
	return [...]string{"raw"}[t]
}

// Dir returns the directory of the tier's partitions, relative to the data
// directory.
func (t Tier) Dir() string {
	t.mustBeKnown()
	return [...]string{format.RawDir}[t]
}

// PartitionMs returns the length of a partition in milliseconds.
func (t Tier) PartitionMs() int64 {
	t.mustBeKnown()
	return [...]int64{rawPartitionMs}[t]
}

// PartitionStart returns the first millisecond of the partition that holds ms. A
// partition of length P is [kP + 1 ms, (k+1)P + 1 ms), which is (kP, (k+1)P] in
// whole milliseconds, so no left-open, right-closed window that is aligned to P
// spans two partitions. The first partition begins at math.MinInt64.
func (t Tier) PartitionStart(ms int64) int64 {
	return model.SubTime(ms, sincePartitionStart(ms, t.PartitionMs()))
}

// PartitionRange returns the range of the partition that holds ms. That of the
// last partition ends at math.MaxInt64.
func (t Tier) PartitionRange(ms int64) model.TimeRange {
	length := t.PartitionMs()
	since := sincePartitionStart(ms, length)
	return model.TimeRange{Min: model.SubTime(ms, since), Max: model.AddTime(ms, length-since)}
}

// sincePartitionStart returns the time from the start of a partition of the given
// length to ms.
func sincePartitionStart(ms, length int64) int64 {
	since := ms%length - 1
	if since < 0 {
		since += length
	}
	return since
}
