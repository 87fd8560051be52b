package manifest

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// FormatOptions are fixed when a database is created. A program built with other
// options cannot read it.
type FormatOptions struct {
	Shards      uint32 // frame streams in the WAL, model.Shards
	PartitionMs int64  // length of a partition of the raw tier
}

// thisFormat holds the format options of this program.
var thisFormat = FormatOptions{Shards: model.Shards, PartitionMs: block.Raw.PartitionMs()}

// NoFloor is the retention floor of a database that never dropped anything.
const NoFloor int64 = math.MinInt64

// Listed is the description of a block in the MANIFEST.
type Listed struct {
	block.Info
	// Keys is the range of series keys in the block. It is zero for an L0,
	// which is assumed to hold any key.
	Keys KeyRange
	// OldestMs and NewestMs are the wall times, in Unix milliseconds, of the
	// first and the last edit that brought data of the block to its level. A
	// merge within a level preserves them.
	OldestMs, NewestMs int64
}

// Edit is one atomic change of the State: all of it becomes visible and durable,
// or none of it.
type Edit struct {
	// Number is assigned by Manifest.Apply. Numbers have no gaps; an edit whose
	// write failed uses one too.
	Number uint64
	WallMs int64 // wall time of the edit, Unix milliseconds

	Add  []block.Info        // complete, synced files
	Keys map[string]KeyRange // of the blocks in Add, by name; needed for L1 and L2
	Drop []string            // names of listed blocks

	AddTombstones  []Tombstone
	DropTombstones []uint64 // their IDs

	// WALLow is the lowest generation that the WAL must keep; nil keeps the
	// current one.
	WALLow *uint64
	// HighGen, HighLSN and HighSegment are high-water marks: numbers up to
	// them are never assigned again. Zero keeps the current ones.
	HighGen, HighLSN, HighSegment uint64
	// Floor is the retention floor: samples before it are gone. It is the
	// start of a partition and never falls; nil keeps the current one.
	Floor *int64
	// Offsets are the offsets, by source, up to which all data is in blocks.
	// Sources not in the map keep theirs.
	Offsets map[string]int64
	// Incarnation is the new incarnation; nil keeps the current one.
	Incarnation *Incarnation

	Cover   []Coverage // entries that are added or replaced
	Uncover []CoverKey // entries that are removed
	// TierFloors are the retention floors of rollups, as Floor is that of samples:
	// no day before has a Coverage. Tiers not in the map keep theirs.
	TierFloors map[block.Tier]int64

	RuleLists []RuleList // lists that are added, or replaced with higher floors
	DropRules []uint64   // IDs of lists that hide nothing any more
}

// State is the result of all edits up to Number. Once returned, a State and its
// maps and slices are never changed; it is safe for concurrent use.
type State struct {
	Number uint64 // of the last edit
	WallMs int64  // of the last edit

	Seed   uint64 // of series identities
	Format FormatOptions

	Blocks     map[string]Listed
	Tombstones []Tombstone // in ascending order of IDs

	WALLow                        uint64 // lowest generation the WAL must keep
	HighGen, HighLSN, HighSegment uint64
	Floor                         int64 // NoFloor, or the first millisecond that is kept
	Offsets                       map[string]int64
	Incarnation                   Incarnation

	Coverage   map[CoverKey]Coverage // what the rollups hold
	TierFloors map[block.Tier]int64  // of rollups that dropped days
	RuleLists  []RuleList            // in ascending order of IDs

	// Dropped holds the names of dropped blocks whose files may still exist:
	// blockset.Open deletes them.
	Dropped map[string]struct{}
}

// NewState returns the state of an empty database.
func NewState(seed uint64, wallMs int64) *State {
	return &State{
		WallMs: wallMs, Seed: seed, Format: thisFormat, Floor: NoFloor,
		Blocks: map[string]Listed{}, Offsets: map[string]int64{}, Dropped: map[string]struct{}{},
		Coverage: map[CoverKey]Coverage{}, TierFloors: map[block.Tier]int64{},
	}
}

// Clone returns a copy whose maps and slices may be changed.
func (s *State) Clone() *State {
	c := *s
	c.Blocks = maps.Clone(s.Blocks)
	c.Tombstones = slices.Clone(s.Tombstones)
	c.Offsets = maps.Clone(s.Offsets)
	c.Dropped = maps.Clone(s.Dropped)
	c.Coverage = maps.Clone(s.Coverage)
	c.TierFloors = maps.Clone(s.TierFloors)
	c.RuleLists = slices.Clone(s.RuleLists)
	return &c
}

// Apply returns the state after an edit. The edit must have passed CheckEdit, as
// all edits in a MANIFEST have.
func (s *State) Apply(e Edit) *State {
	n := s.Clone()
	n.change(e)
	return n
}

// change is Apply in place, for a state that nobody else has: a copy for each of a
// thousand edits would be most of the time of a start with years of blocks.
func (n *State) change(e Edit) {
	n.Number, n.WallMs = e.Number, e.WallMs
	added := make([]Listed, len(e.Add))
	for i, info := range e.Add {
		added[i] = Listed{Info: info, Keys: e.Keys[info.Name]}
		added[i].OldestMs, added[i].NewestMs = n.age(info, e.WallMs)
	}
	for _, b := range added {
		n.Blocks[b.Name] = b
		n.HighGen = max(n.HighGen, b.MaxGen)
	}
	for _, name := range e.Drop {
		delete(n.Blocks, name)
		n.Dropped[name] = struct{}{}
	}
	n.Tombstones = slices.DeleteFunc(n.Tombstones, func(t Tombstone) bool {
		return slices.Contains(e.DropTombstones, t.ID)
	})
	n.Tombstones = append(n.Tombstones, e.AddTombstones...)
	slices.SortFunc(n.Tombstones, func(a, b Tombstone) int { return cmp.Compare(a.ID, b.ID) })
	if e.WALLow != nil {
		n.WALLow = *e.WALLow
	}
	n.HighGen = max(n.HighGen, e.HighGen)
	n.HighLSN = max(n.HighLSN, e.HighLSN)
	n.HighSegment = max(n.HighSegment, e.HighSegment)
	if e.Floor != nil {
		n.Floor = *e.Floor
	}
	maps.Copy(n.Offsets, e.Offsets)
	if e.Incarnation != nil {
		n.Incarnation = *e.Incarnation
	}
	n.applyCoverage(&e)
	n.applyRules(&e)
}

// age returns the OldestMs and NewestMs of a new block. They span those of its
// inputs on the same level and, if it has other inputs or none, nowMs.
func (s *State) age(b block.Info, nowMs int64) (oldest, newest int64) {
	oldest, newest = math.MaxInt64, math.MinInt64
	for _, name := range b.Inputs {
		if in, ok := s.Blocks[name]; ok && in.Level == b.Level {
			oldest, newest = min(oldest, in.OldestMs), max(newest, in.NewestMs)
		} else {
			oldest, newest = min(oldest, nowMs), max(newest, nowMs)
		}
	}
	if len(b.Inputs) == 0 {
		return nowMs, nowMs
	}
	return oldest, newest
}

// Sorted returns the listed blocks of all tiers in the order of block.CompareInfo,
// oldest first. RawBlocks and RollupBlocks return those of one kind.
func (s *State) Sorted() []Listed {
	blocks := slices.Collect(maps.Values(s.Blocks))
	slices.SortFunc(blocks, func(a, b Listed) int { return block.CompareInfo(a.Info, b.Info) })
	return blocks
}

// Kept returns a range that holds all samples that are kept: the valid times from
// the retention floor on, or from the first day below it of which raw blocks are
// listed. Of such days only those samples are kept that stand in for buckets of a
// rollup, as blockset.Version.Deletions tells, and above the floor only those that
// RuleLists do not hide. Other samples of a block are hidden,
// and dropped when the block is merged.
func (s *State) Kept() model.TimeRange {
	floor := s.Floor
	for _, b := range s.Blocks {
		if b.Tier == block.Raw && b.Level != block.L0 {
			floor = min(floor, b.Partition)
		}
	}
	return KeptAbove(floor)
}

// keeps reports whether a raw block may hold samples that are kept. It does not know
// of series whose samples stand in while others have buckets.
func (s *State) keeps(b block.Info) bool {
	if KeptAbove(s.Floor).Overlaps(b.TimeRange()) {
		return true
	}
	return b.Level != block.L0 && slices.ContainsFunc(block.Rollups, func(tier block.Tier) bool {
		c, covered := s.CoverageOf(tier, b.Partition)
		return covered && c.StandIn
	})
}

// KeptAbove returns the valid times from a floor on.
func KeptAbove(floor int64) model.TimeRange {
	return model.AllTime.Intersect(model.TimeRange{Min: floor, Max: math.MaxInt64})
}
