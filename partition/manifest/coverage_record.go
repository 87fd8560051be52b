package manifest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// The bits of the flags of a Coverage.
const (
	flagStandIn = 1 << 0
	flagsEnd    = 1 << 1
)

// version returns the version of the file that r needs: one without rollups can be
// read by programs that do not know them, and so can one without retention rules or
// without tiers coarser than an hour.
func (r *record) version() uint32 {
	if r.anyTier(func(t block.Tier) bool { return t > block.Hour }) {
		return versionCoarse
	}
	if len(r.RuleLists)+len(r.DropRules) > 0 {
		return versionRules
	}
	if len(r.Cover)+len(r.Uncover)+len(r.TierFloors) > 0 ||
		slices.ContainsFunc(r.Add, func(b block.Info) bool { return b.Tier != block.Raw }) {
		return versionRollups
	}
	return 1
}

// anyTier reports whether is returns true for a tier of which the record has a field.
func (r *record) anyTier(is func(block.Tier) bool) bool {
	return slices.ContainsFunc(r.Add, func(b block.Info) bool { return is(b.Tier) }) ||
		slices.ContainsFunc(r.Cover, func(c Coverage) bool { return is(c.Tier) }) ||
		slices.ContainsFunc(r.Uncover, func(k CoverKey) bool { return is(k.Tier) }) ||
		slices.ContainsFunc(slices.Collect(maps.Keys(r.TierFloors)), is) ||
		slices.ContainsFunc(r.RuleLists, func(l RuleList) bool {
			return slices.ContainsFunc(l.Rules, func(r Rule) bool { return slices.ContainsFunc(slices.Collect(maps.Keys(r.Floors)), is) })
		})
}

// appendRollup appends what a rollup block has beyond appendListed.
func appendRollup(dst []byte, m *block.Meta) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Tier))
	dst = binary.AppendUvarint(dst, uint64(m.Days))
	dst = binary.AppendUvarint(dst, m.Tombstone)
	return appendNames(dst, m.Sources)
}

// readRollup reads what appendRollup writes.
func readRollup(in *format.Reader, m *block.Meta) {
	if m.Tier = readTier(in); m.Tier == block.Raw {
		in.Fail("tier of a rollup")
	}
	m.Days = uint32(in.Uvarint(block.MaxDays))
	m.Tombstone = in.Uvarint(math.MaxUint64)
	m.Sources = readNames(in)
}

func appendNames(dst []byte, names []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = format.AppendString(dst, name)
	}
	return dst
}

func readNames(in *format.Reader) (names []string) {
	for range in.Uvarint(block.MaxInputs) {
		name := in.Text(format.MaxNameBytes)
		if in.Err != nil {
			break
		}
		names = append(names, name)
	}
	return names
}

func readTier(in *format.Reader) block.Tier {
	return block.Tier(in.Uvarint(math.MaxUint32))
}

func appendCoverKey(dst []byte, k CoverKey) []byte {
	dst = binary.AppendUvarint(dst, uint64(k.Tier))
	return binary.AppendVarint(dst, k.Day)
}

func readCoverKey(in *format.Reader) CoverKey {
	return CoverKey{Tier: readTier(in), Day: in.Varint()}
}

// appendCoverage appends the body of a coverage.
func appendCoverage(dst []byte, c *Coverage) []byte {
	dst = appendCoverKey(dst, c.CoverKey)
	flags := byte(0)
	if c.StandIn {
		flags |= flagStandIn
	}
	dst = append(dst, flags)
	dst = format.AppendString(dst, c.Block)
	dst = binary.AppendUvarint(dst, c.Gen)
	dst = binary.AppendUvarint(dst, c.Tombstone)
	dst = appendNames(dst, c.Sources)
	dst = binary.AppendUvarint(dst, uint64(len(c.Lost)))
	for _, r := range c.Lost {
		dst = binary.AppendVarint(dst, r.Min)
		dst = binary.AppendVarint(dst, r.Max)
	}
	return dst
}

// decodeCoverage decodes the body that appendCoverage writes and validates it.
func decodeCoverage(body []byte) (Coverage, error) {
	in := format.Reader{B: body}
	var c Coverage
	c.CoverKey = readCoverKey(&in)
	flags := in.Byte()
	if flags >= flagsEnd {
		in.Fail("flags")
	}
	c.StandIn = flags&flagStandIn != 0
	c.Block = in.Text(format.MaxNameBytes)
	c.Gen = in.Uvarint(math.MaxUint64)
	c.Tombstone = in.Uvarint(math.MaxUint64)
	c.Sources = readNames(&in)
	for range in.Uvarint(MaxLost) {
		r := model.TimeRange{Min: in.Varint(), Max: in.Varint()}
		if in.Err != nil {
			break
		}
		c.Lost = append(c.Lost, r)
	}
	if err := in.End("body"); err != nil {
		return Coverage{}, err
	}
	if err := c.validate(); err != nil {
		return Coverage{}, format.Corrupt("%v", err)
	}
	return c, nil
}

func (k CoverKey) validate() error {
	switch {
	case !k.Tier.Valid() || k.Tier == block.Raw:
		return fmt.Errorf("coverage of tier %d, which is not a rollup", uint32(k.Tier))
	case k.Tier.PartitionStart(k.Day) != k.Day:
		return fmt.Errorf("coverage of %v from %d, which is not the start of a partition", k.Tier, k.Day)
	}
	return nil
}

func (c *Coverage) validate() error {
	if err := c.CoverKey.validate(); err != nil {
		return err
	}
	if len(c.Sources) > block.MaxInputs {
		return fmt.Errorf("coverage of %s: %d sources exceed the limit of %d", c, len(c.Sources), block.MaxInputs)
	}
	if len(c.Block) > format.MaxNameBytes {
		return fmt.Errorf("coverage of %s: file name of %d bytes exceeds the limit of %d", c, len(c.Block), format.MaxNameBytes)
	}
	for _, name := range c.Sources {
		if err := checkName(name); err != nil {
			return fmt.Errorf("coverage of %s: %w", c, err)
		}
	}
	if len(c.Lost) > MaxLost {
		return fmt.Errorf("coverage of %s: %d lost ranges exceed the limit of %d", c, len(c.Lost), MaxLost)
	}
	for i, r := range c.Lost {
		if r.Empty() || i > 0 && r.Min <= c.Lost[i-1].Max {
			return fmt.Errorf("coverage of %s: lost ranges %v are not in order", c, c.Lost)
		}
	}
	if c.StandIn && c.Tier >= block.Hour {
		return fmt.Errorf("coverage of %s: samples do not stand in for this tier", c)
	}
	return nil
}

// String returns the tier and the day.
func (k CoverKey) String() string { return k.Tier.String() + " " + FormatMs(k.Day) }

// validateCoverage returns an error if decodeRecord would reject the parts of r
// that are about rollups.
func (r *record) validateCoverage() error {
	for i := range r.Cover {
		if err := r.Cover[i].validate(); err != nil {
			return err
		}
	}
	for _, k := range r.Uncover {
		if err := k.validate(); err != nil {
			return err
		}
	}
	for tier, floor := range r.TierFloors {
		if err := (CoverKey{tier, floor}).validate(); err != nil {
			return fmt.Errorf("tier floor: %w", err)
		}
	}
	return nil
}

// appendCoverageFields appends the fields about rollups except blocks; field ends
// the one that was appended to *body.
func (r *record) appendCoverageFields(body *[]byte, field func(tag uint64)) {
	for i := range r.Cover {
		*body = appendCoverage(*body, &r.Cover[i])
		field(tagCover)
	}
	for _, k := range r.Uncover {
		*body = appendCoverKey(*body, k)
		field(tagUncover)
	}
	for _, tier := range slices.Sorted(maps.Keys(r.TierFloors)) {
		*body = appendCoverKey(*body, CoverKey{tier, r.TierFloors[tier]})
		field(tagTierFloor)
	}
}

// decodeCoverageField decodes a field that appendCoverageFields writes.
func (r *record) decodeCoverageField(tag uint64, body []byte) error {
	if tag == tagCover {
		c, err := decodeCoverage(body)
		r.Cover = append(r.Cover, c)
		return err
	}
	in := format.Reader{B: body}
	k := readCoverKey(&in)
	if err := in.End("body"); err != nil {
		return err
	}
	if err := k.validate(); err != nil {
		return format.Corrupt("%v", err)
	}
	if tag == tagUncover {
		r.Uncover = append(r.Uncover, k)
		return nil
	}
	if r.TierFloors == nil {
		r.TierFloors = map[block.Tier]int64{}
	}
	r.TierFloors[k.Tier] = k.Day
	return nil
}

// describe returns the coverage as text.
func (c *Coverage) describe() string {
	s := fmt.Sprintf("%s: %s, generations up to %d of %q, tombstones up to %d", c, c.where(), c.Gen, c.Sources, c.Tombstone)
	for _, r := range c.Lost {
		s += fmt.Sprintf(", lost from %s to %s", FormatMs(r.Min), FormatMs(r.Max))
	}
	return s
}

func (c *Coverage) where() string {
	switch {
	case c.StandIn:
		return "samples stand in"
	case c.Block == "":
		return "no rows"
	}
	return c.Block
}
