package block

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Meta is the part of the description of a block that is known before its first
// byte is written. It is stored in the footer.
type Meta struct {
	Key
	MinGen, MaxGen uint64   // generations, both inclusive, MinGen ≤ MaxGen
	Inputs         []string // names of the blocks it was made from; empty for a cut, InputImport for an import
	Ordinal        uint32   // ascends over the key-disjoint outputs of one merge, from 0, skipping names in use

	// The fields below are zero in a block of the raw tier, Inputs in one of a
	// rollup, whose sources outlive it.
	Days      uint32   // partitions that the block spans, from Partition on
	Sources   []string // names of the blocks that were rolled up or folded
	Tombstone uint64   // highest ID of the tombstones that were applied
}

// InputImport stands for the inputs of a block whose samples come from outside of the
// database: neither other blocks nor the log hold them. No block has this name.
const InputImport = "import"

// Imported reports whether the samples of the block come from outside of the database.
func (m *Meta) Imported() bool { return len(m.Inputs) == 1 && m.Inputs[0] == InputImport }

// MaxDays bounds the partitions that a block of a rollup spans.
const MaxDays = 64

// Span returns the times of the partitions of the block, which must have one.
func (m *Meta) Span() model.TimeRange {
	r := m.Key.Range()
	if m.Days > 1 {
		r.Max = model.AddTime(r.Min, int64(m.Days)*m.Tier.PartitionMs())
	}
	return r
}

// Info is the description of a block that the MANIFEST records.
type Info struct {
	Name string // path relative to the data directory
	Meta
	Size      int64  // bytes of the file
	FooterLen uint32 // bytes of one copy of the tail; the last of the two ends the file
	CRC       uint32 // CRC-32C of the tail
	Series    uint64
	Samples   uint64 // of a rollup: buckets, and one for each chunk of samples that stand in
	// MinTime and MaxTime are the times of the first and the last sample, both
	// inclusive, in Unix milliseconds. In a rollup buckets count with their ends and
	// stand-ins with the first and last millisecond of their days.
	MinTime, MaxTime int64
}

// TimeRange returns the range from the first to the last sample of the block.
func (b Info) TimeRange() model.TimeRange { return model.Inclusive(b.MinTime, b.MaxTime) }

// Validate returns an error if m is inconsistent or exceeds a limit.
func (m *Meta) Validate() error {
	switch {
	case !m.Tier.Valid():
		return fmt.Errorf("unknown tier %d", uint32(m.Tier))
	case !m.Level.valid():
		return fmt.Errorf("unknown level %d", m.Level)
	case m.MinGen > m.MaxGen:
		return fmt.Errorf("generations %d to %d are not a range", m.MinGen, m.MaxGen)
	case (m.Level == L0) != (m.Partition == NoPartition):
		return fmt.Errorf("a block of level %v has partition %d", m.Level, m.Partition)
	case len(m.Inputs) > MaxInputs:
		return fmt.Errorf("%d inputs exceed the limit of %d", len(m.Inputs), MaxInputs)
	case m.Tier == Raw && (m.Days != 0 || len(m.Sources) > 0 || m.Tombstone != 0):
		return errors.New("a block of the raw tier has the fields of a rollup")
	case m.Tier != Raw && (m.Level != L2 || len(m.Inputs) > 0 || m.Days < 1 || m.Days > MaxDays || len(m.Sources) > MaxInputs):
		return fmt.Errorf("a block of the %v tier has level %v, %d inputs, %d days, %d sources", m.Tier, m.Level, len(m.Inputs), m.Days, len(m.Sources))
	case m.Tier != Raw && m.Tier.PartitionStart(m.Partition) != m.Partition:
		return fmt.Errorf("a block of the %v tier begins at %d, inside of a day", m.Tier, m.Partition)
	}
	bytes := 0
	for _, in := range slices.Concat(m.Inputs, m.Sources) {
		bytes += len(in)
		if len(in) > format.MaxNameBytes {
			return fmt.Errorf("input name of %d bytes exceeds the limit of %d", len(in), format.MaxNameBytes)
		}
		if bytes > maxTailBytes/2 {
			return fmt.Errorf("input names of %d bytes exceed the limit of %d", bytes, maxTailBytes/2)
		}
	}
	return nil
}

// CompareInfo orders blocks from the oldest to the newest: if a sample of b can
// replace a sample of a, a comes first.
func CompareInfo(a, b Info) int {
	switch {
	case a.MinGen != b.MinGen:
		return cmp.Compare(a.MinGen, b.MinGen)
	case !a.SamePartition(b.Key):
		return a.At(0).Compare(b.At(0))
	case a.MaxGen != b.MaxGen:
		return cmp.Compare(a.MaxGen, b.MaxGen)
	case a.Ordinal != b.Ordinal:
		return cmp.Compare(uint64(a.Ordinal), uint64(b.Ordinal))
	}
	return strings.Compare(a.Name, b.Name) // blocks of different merges
}
