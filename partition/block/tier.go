package block

import (
	"fmt"
	"strings"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Tier is the resolution of stored rows in milliseconds: 0 for samples as they were
// received, otherwise the length of the buckets of a rollup. It determines the
// directory of the blocks. All tiers have partitions of one day; a block of a
// rollup may span several.
type Tier uint32

// The tiers. A rollup may have any of the resolutions.
const (
	Raw      Tier = 0
	Minute   Tier = 60_000
	Minutes5 Tier = 5 * Minute
	HalfHour Tier = 30 * Minute
	Hour     Tier = 60 * Minute
	Hours6   Tier = 6 * Hour
)

// Rollups lists the resolutions that a rollup can have, finest first.
var Rollups = []Tier{Minute, Minutes5, HalfHour, Hour, Hours6}

// rawPartitionMs is the length of a partition, which the window ladder and all
// resolutions divide.
const rawPartitionMs = model.DayMs

// Valid reports whether t is a known tier.
func (t Tier) Valid() bool {
	switch t {
	case Raw, Minute, Minutes5, HalfHour, Hour, Hours6:
		return true
	}
	return false
}

// mustBeKnown panics if t is not a valid tier.
func (t Tier) mustBeKnown() {
	if !t.Valid() {
		panic(fmt.Sprintf("BUG: tier %d", uint32(t)))
	}
}

// String returns "raw", or the resolution, for instance "1m" or "1h".
func (t Tier) String() string {
	switch {
	case t == Raw:
		return format.RawDir
	case !t.Valid():
		return fmt.Sprintf("Tier(%d)", uint32(t))
	}
	s := (time.Duration(t) * time.Millisecond).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// ParseTier returns the tier of a name as String writes it.
func ParseTier(name string) (Tier, bool) {
	for _, t := range append([]Tier{Raw}, Rollups...) {
		if t.String() == name {
			return t, true
		}
	}
	return Raw, false
}

// Ms returns the resolution in milliseconds, 0 for Raw.
func (t Tier) Ms() int64 { return int64(t) }

// Dir returns the directory of the tier's blocks, relative to the data directory:
// its name.
func (t Tier) Dir() string {
	t.mustBeKnown()
	return t.String()
}

// PartitionMs returns the length of a partition in milliseconds.
func (t Tier) PartitionMs() int64 {
	t.mustBeKnown()
	return rawPartitionMs
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
