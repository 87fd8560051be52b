package partitiontest

import (
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// TestDay is the first millisecond of the partition most tests write to.
var TestDay = block.Raw.PartitionStart(1_795_000_000_000)

// Ptr returns a pointer to v.
func Ptr[T any](v T) *T { return &v }

// CutBlock describes an L0 of which there is no file.
func CutBlock(lo, hi uint64) block.Info {
	m := block.Meta{Key: block.SpanningKey(block.L0), MinGen: lo, MaxGen: hi}
	return block.Info{Name: block.FileName(m), Meta: m, Size: 1000, FooterLen: 90, CRC: 0xabcd, Series: 3, Samples: 30,
		MinTime: TestDay, MaxTime: TestDay + 1000}
}

// MergedBlock describes an L1 or L2 made of others.
func MergedBlock(level block.Level, day int64, inputs ...block.Info) block.Info {
	lo, hi := manifest.Generations(inputs)
	m := block.Meta{Key: block.Key{Partition: day, Level: level}, MinGen: lo, MaxGen: hi}
	b := block.Info{FooterLen: 90, CRC: 0xabcd, Series: 3, MinTime: day, MaxTime: day + 1000}
	for _, in := range inputs {
		m.Inputs = append(m.Inputs, in.Name)
		b.Size += in.Size
		b.Samples += in.Samples
	}
	b.Meta, b.Name = m, block.FileName(m)
	return b
}

// CutEdit returns the edit that adds a cut.
func CutEdit(b block.Info) manifest.Edit {
	return manifest.Edit{WallMs: 1_795_000_000_000, Add: []block.Info{b}, WALLow: Ptr(b.MaxGen + 1)}
}

// MergeEdit returns the edit that puts a block in the place of its inputs.
func MergeEdit(out block.Info) manifest.Edit {
	return manifest.Edit{WallMs: 1_795_000_100_000, Add: []block.Info{out}, Drop: out.Inputs,
		Keys: map[string]manifest.KeyRange{out.Name: {First: "a", Last: "z"}}}
}

// Tombstone returns a deletion of the first half second of TestDay.
func Tombstone(id, gen uint64) manifest.Tombstone {
	return manifest.Tombstone{
		ID: id, Tenant: 7, Gen: gen, Range: model.TimeRange{Min: TestDay, Max: TestDay + 500},
		Matchers: []*labels.Matcher{
			labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"),
			labels.MustNewMatcher(labels.MatchRegexp, "job", "a.*|b"),
		},
	}
}

// RuleList returns a list of retention rules of which one has a floor of samples: that of
// the series with env="dev".
func RuleList(id uint64, floor int64) manifest.RuleList {
	dev := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "env", "dev")}
	return manifest.RuleList{ID: id, Rules: []manifest.Rule{
		{Selectors: [][]*labels.Matcher{dev}, Floors: map[block.Tier]int64{block.Raw: floor}}, {},
	}}
}
