package manifest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"tsdb/partition/block"
	"tsdb/partition/format"
)

// maxSourceNameBytes bounds the name of a source. The other limits are
// format.MaxNameBytes, block.MaxInputs, model.MaxMatchers and
// model.MaxMatcherBytes. The encoder rejects a record that exceeds one; the
// decoder reports it as damage.
const maxSourceNameBytes = 4 << 10

// The tags of a record's fields. A field is written as tag, length and body, in
// ascending order of tags. An unknown tag is an error: a new field needs a new
// version of the file. Those from tagAddRollup on are of versionRollups, those from
// tagRuleList on of versionRules, and with a tier coarser than an hour of versionCoarse.
const (
	tagWallMs        = 1
	tagSeed          = 2 // snapshots only
	tagFormat        = 3 // snapshots only
	tagAddBlock      = 4 // repeated
	tagDropBlock     = 5 // repeated
	tagDropped       = 6 // repeated, snapshots only
	tagAddTombstone  = 7 // repeated
	tagDropTombstone = 8 // repeated
	tagWALLow        = 9
	tagHighGen       = 10
	tagHighLSN       = 11
	tagHighSegment   = 12
	tagFloor         = 13
	tagOffset        = 14 // repeated
	tagIncarnation   = 15
	tagAddRollup     = 16 // repeated
	tagCover         = 17 // repeated
	tagUncover       = 18 // repeated
	tagTierFloor     = 19 // repeated
	tagRuleList      = 20 // repeated
	tagDropRules     = 21 // repeated
	tagEnd           = 22
)

// tagNames are the names that Describe and errors use.
var tagNames = [tagEnd]string{
	tagWallMs: "wall time", tagSeed: "identity seed", tagFormat: "format", tagAddBlock: "add block",
	tagDropBlock: "drop block", tagDropped: "dropped before", tagAddTombstone: "add tombstone",
	tagDropTombstone: "drop tombstone", tagWALLow: "WAL low end", tagHighGen: "highest generation",
	tagHighLSN: "highest LSN", tagHighSegment: "highest segment", tagFloor: "retention floor",
	tagOffset: "source offset", tagIncarnation: "incarnation", tagAddRollup: "add rollup block",
	tagCover: "cover", tagUncover: "uncover", tagTierFloor: "tier floor",
	tagRuleList: "retention rules", tagDropRules: "drop retention rules",
}

func repeated(tag uint64) bool {
	switch tag {
	case tagAddBlock, tagDropBlock, tagDropped, tagAddTombstone, tagDropTombstone, tagOffset,
		tagAddRollup, tagCover, tagUncover, tagTierFloor, tagRuleList, tagDropRules:
		return true
	}
	return false
}

// record is the content of one record of the MANIFEST: an edit, or a snapshot,
// which is the edit that turns an empty state into the recorded one.
type record struct {
	Edit
	// The fields below are zero in an edit.
	seed    uint64
	format  FormatOptions
	ages    map[string]ages // of the blocks in Add
	dropped []string
}

// ages are OldestMs and NewestMs of a block.
type ages struct{ oldest, newest int64 }

// snapshotOf returns the record of a snapshot of s.
func snapshotOf(s *State) record {
	r := record{
		Edit: Edit{
			Number: s.Number, WallMs: s.WallMs, Keys: map[string]KeyRange{},
			AddTombstones: s.Tombstones, WALLow: &s.WALLow,
			HighGen: s.HighGen, HighLSN: s.HighLSN, HighSegment: s.HighSegment,
			Offsets: s.Offsets, Cover: s.SortedCoverage(), TierFloors: s.TierFloors,
			RuleLists: s.RuleLists,
		},
		seed: s.Seed, format: s.Format, ages: map[string]ages{},
		dropped: slices.Sorted(maps.Keys(s.Dropped)),
	}
	if s.Floor != NoFloor {
		r.Floor = &s.Floor
	}
	if s.Incarnation != (Incarnation{}) {
		r.Incarnation = &s.Incarnation
	}
	for _, b := range s.Sorted() {
		r.Add = append(r.Add, b.Info)
		r.Keys[b.Name] = b.Keys
		r.ages[b.Name] = ages{b.OldestMs, b.NewestMs}
	}
	return r
}

// state returns the state recorded in a snapshot.
func (r *record) state() *State {
	s := NewState(r.seed, r.WallMs)
	s.Format = r.format
	s = s.Apply(r.Edit)
	for name, a := range r.ages {
		b := s.Blocks[name]
		b.OldestMs, b.NewestMs = a.oldest, a.newest
		s.Blocks[name] = b
	}
	for _, name := range r.dropped {
		s.Dropped[name] = struct{}{}
	}
	return s
}

// validate returns an error if decodeRecord would reject r.
func (r *record) validate() error {
	for _, b := range r.Add {
		if err := (&Listed{Info: b, Keys: r.Keys[b.Name]}).Validate(); err != nil {
			return err
		}
	}
	for _, names := range [][]string{r.Drop, r.dropped} {
		for _, name := range names {
			if err := checkName(name); err != nil {
				return err
			}
		}
	}
	for i := range r.AddTombstones {
		if err := checkTombstone(&r.AddTombstones[i]); err != nil {
			return err
		}
	}
	for name := range r.Offsets {
		if len(name) > maxSourceNameBytes {
			return fmt.Errorf("source name of %d bytes exceeds %d", len(name), maxSourceNameBytes)
		}
	}
	for i := range r.RuleLists {
		if err := r.RuleLists[i].validate(); err != nil {
			return err
		}
	}
	return r.validateCoverage()
}

func checkName(name string) error {
	if len(name) == 0 || len(name) > format.MaxNameBytes {
		return fmt.Errorf("file name of %d bytes, from 1 to %d are possible", len(name), format.MaxNameBytes)
	}
	return nil
}

// checkTombstone returns an error if decodeTombstone would reject t.
func checkTombstone(t *Tombstone) error {
	if err := checkMatchers(t.Matchers); err != nil {
		return fmt.Errorf("tombstone %d: %w", t.ID, err)
	}
	return nil
}

// appendRecord appends the fields of r, except Number, which the header of the
// record holds.
func appendRecord(dst []byte, r *record) []byte {
	var body []byte
	field := func(tag uint64) {
		dst = binary.AppendUvarint(dst, tag)
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		dst = append(dst, body...)
		body = body[:0]
	}
	number := func(tag, v uint64) {
		if v != 0 {
			body = binary.AppendUvarint(body, v)
			field(tag)
		}
	}
	names := func(tag uint64, names []string) {
		for _, name := range names {
			body = append(body, name...)
			field(tag)
		}
	}

	body = binary.AppendVarint(body, r.WallMs)
	field(tagWallMs)
	number(tagSeed, r.seed)
	if r.format != (FormatOptions{}) {
		body = binary.AppendUvarint(body, uint64(r.format.Shards))
		body = binary.AppendVarint(body, r.format.PartitionMs)
		field(tagFormat)
	}
	for _, b := range r.Add {
		if b.Tier == block.Raw {
			body = appendListed(body, r.listed(b))
			field(tagAddBlock)
		}
	}
	names(tagDropBlock, r.Drop)
	names(tagDropped, r.dropped)
	for i := range r.AddTombstones {
		body = appendTombstone(body, &r.AddTombstones[i])
		field(tagAddTombstone)
	}
	for _, id := range r.DropTombstones {
		body = binary.AppendUvarint(body, id)
		field(tagDropTombstone)
	}
	if r.WALLow != nil {
		body = binary.AppendUvarint(body, *r.WALLow)
		field(tagWALLow)
	}
	number(tagHighGen, r.HighGen)
	number(tagHighLSN, r.HighLSN)
	number(tagHighSegment, r.HighSegment)
	if r.Floor != nil {
		body = binary.AppendVarint(body, *r.Floor)
		field(tagFloor)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Offsets)) {
		body = format.AppendString(body, name)
		body = binary.AppendVarint(body, r.Offsets[name])
		field(tagOffset)
	}
	if r.Incarnation != nil {
		body = appendIncarnation(body, r.Incarnation)
		field(tagIncarnation)
	}
	for _, b := range r.Add {
		if b.Tier != block.Raw {
			body = appendRollup(body, &b.Meta)
			body = appendListed(body, r.listed(b))
			field(tagAddRollup)
		}
	}
	r.appendCoverageFields(&body, field)
	for i := range r.RuleLists {
		body = appendRuleList(body, &r.RuleLists[i])
		field(tagRuleList)
	}
	for _, id := range r.DropRules {
		body = binary.AppendUvarint(body, id)
		field(tagDropRules)
	}
	return dst
}

// listed returns the description of a block in Add.
func (r *record) listed(b block.Info) Listed {
	a := r.ages[b.Name]
	return Listed{Info: b, Keys: r.Keys[b.Name], OldestMs: a.oldest, NewestMs: a.newest}
}

// decodeRecord decodes the fields of a record. src need not be valid.
func decodeRecord(src []byte) (*record, error) {
	r := &record{}
	err := eachField(src, func(_ int, tag uint64, body []byte) error {
		return r.decodeField(tag, body)
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// eachField calls fn with the offset, tag and body of every field of a record.
func eachField(src []byte, fn func(off int, tag uint64, body []byte) error) error {
	in := format.Reader{B: src}
	last := uint64(0)
	for len(in.B) > 0 {
		off := len(src) - len(in.B)
		tag := in.Uvarint(math.MaxUint64)
		body := in.Bytes(in.Uvarint(maxRecordBytes))
		if in.Err != nil {
			return format.Corrupt("field at %d: %v", off, in.Err)
		}
		if tag == 0 || tag >= tagEnd || tag < last || tag == last && !repeated(tag) {
			return format.Corrupt("field at %d: tag %d after %d", off, tag, last)
		}
		last = tag
		if err := fn(off, tag, body); err != nil {
			return fmt.Errorf("%s at %d: %w", tagNames[tag], off, err)
		}
	}
	return nil
}

func (r *record) decodeField(tag uint64, body []byte) error {
	in := format.Reader{B: body}
	switch tag {
	case tagWallMs:
		r.WallMs = in.Varint()
	case tagSeed:
		r.seed = in.Uvarint(math.MaxUint64)
	case tagFormat:
		r.format.Shards = uint32(in.Uvarint(math.MaxUint32))
		r.format.PartitionMs = in.Varint()
	case tagAddBlock, tagAddRollup:
		return r.decodeAdd(body, tag == tagAddRollup)
	case tagCover, tagUncover, tagTierFloor:
		return r.decodeCoverageField(tag, body)
	case tagRuleList:
		l, err := decodeRuleList(body)
		r.RuleLists = append(r.RuleLists, l)
		return err
	case tagDropRules:
		r.DropRules = append(r.DropRules, in.Uvarint(math.MaxUint64))
	case tagDropBlock:
		r.Drop = append(r.Drop, readName(&in))
	case tagDropped:
		r.dropped = append(r.dropped, readName(&in))
	case tagAddTombstone:
		t, err := decodeTombstone(body)
		if err != nil {
			return err
		}
		r.AddTombstones = append(r.AddTombstones, t)
		return nil
	case tagDropTombstone:
		r.DropTombstones = append(r.DropTombstones, in.Uvarint(math.MaxUint64))
	case tagWALLow:
		v := in.Uvarint(math.MaxUint64)
		r.WALLow = &v
	case tagHighGen:
		r.HighGen = in.Uvarint(math.MaxUint64)
	case tagHighLSN:
		r.HighLSN = in.Uvarint(math.MaxUint64)
	case tagHighSegment:
		r.HighSegment = in.Uvarint(math.MaxUint64)
	case tagFloor:
		v := in.Varint()
		r.Floor = &v
	case tagOffset:
		name := in.Text(maxSourceNameBytes)
		if r.Offsets == nil {
			r.Offsets = map[string]int64{}
		}
		r.Offsets[name] = in.Varint()
	case tagIncarnation:
		n := readIncarnation(&in)
		r.Incarnation = &n
	}
	return in.End("body")
}

// readName reads the rest of in as the name of a file.
func readName(in *format.Reader) string {
	if len(in.B) == 0 || len(in.B) > format.MaxNameBytes {
		in.Fail("length of a name")
	}
	return string(in.Bytes(uint64(len(in.B))))
}

func (r *record) decodeAdd(body []byte, rollup bool) error {
	b, err := decodeListed(body, rollup)
	if err != nil {
		return err
	}
	r.Add = append(r.Add, b.Info)
	if !b.Keys.IsZero() {
		if r.Keys == nil {
			r.Keys = map[string]KeyRange{}
		}
		r.Keys[b.Name] = b.Keys
	}
	if a := (ages{b.OldestMs, b.NewestMs}); a != (ages{}) {
		if r.ages == nil {
			r.ages = map[string]ages{}
		}
		r.ages[b.Name] = a
	}
	return nil
}

// appendListed appends the description of a block. OldestMs and NewestMs are 0
// in an edit: State.Apply derives them from the wall time of the edit.
func appendListed(dst []byte, b Listed) []byte {
	dst = format.AppendString(dst, b.Name)
	dst = append(dst, byte(b.Level))
	dst = binary.AppendVarint(dst, b.Partition)
	dst = binary.AppendUvarint(dst, b.MinGen)
	dst = binary.AppendUvarint(dst, b.MaxGen)
	dst = binary.AppendUvarint(dst, uint64(b.Ordinal))
	dst = appendNames(dst, b.Inputs)
	dst = binary.AppendUvarint(dst, uint64(b.Size))
	dst = binary.AppendUvarint(dst, uint64(b.FooterLen))
	dst = binary.LittleEndian.AppendUint32(dst, b.CRC)
	dst = binary.AppendUvarint(dst, b.Series)
	dst = binary.AppendUvarint(dst, b.Samples)
	dst = binary.AppendVarint(dst, b.MinTime)
	dst = binary.AppendVarint(dst, b.MaxTime)
	dst = format.AppendString(dst, b.Keys.First)
	dst = format.AppendString(dst, b.Keys.Last)
	dst = binary.AppendVarint(dst, b.OldestMs)
	return binary.AppendVarint(dst, b.NewestMs)
}

// decodeListed decodes the description that appendListed writes, after that of
// appendRollup for a rollup, and validates it.
func decodeListed(body []byte, rollup bool) (Listed, error) {
	in := format.Reader{B: body}
	var b Listed
	if rollup {
		readRollup(&in, &b.Meta)
	}
	b.Name = in.Text(format.MaxNameBytes)
	b.Level = block.Level(in.Byte())
	b.Partition = in.Varint()
	b.MinGen = in.Uvarint(math.MaxUint64)
	b.MaxGen = in.Uvarint(math.MaxUint64)
	b.Ordinal = uint32(in.Uvarint(math.MaxUint32))
	b.Inputs = readNames(&in)
	b.Size = int64(in.Uvarint(math.MaxInt64))
	b.FooterLen = uint32(in.Uvarint(math.MaxUint32))
	b.CRC = in.Uint32()
	b.Series = in.Uvarint(math.MaxUint64)
	b.Samples = in.Uvarint(math.MaxUint64)
	b.MinTime = in.Varint()
	b.MaxTime = in.Varint()
	b.Keys.First = in.Text(maxKeyBytes)
	b.Keys.Last = in.Text(maxKeyBytes)
	b.OldestMs = in.Varint()
	b.NewestMs = in.Varint()
	if err := in.End("body"); err != nil {
		return Listed{}, err
	}
	if err := b.Validate(); err != nil {
		return Listed{}, format.Corrupt("%v", err)
	}
	return b, nil
}

// Validate returns an error if the description of the block is inconsistent.
func (b *Listed) Validate() error {
	keys := b.Keys
	if err := b.Meta.Validate(); err != nil {
		return fmt.Errorf("block %q: %w", b.Name, err)
	}
	if err := checkName(b.Name); err != nil {
		return err
	}
	switch {
	case b.Name != block.FileName(b.Meta):
		return fmt.Errorf("block %q should be named %q", b.Name, block.FileName(b.Meta))
	case b.Size <= 0 || b.Series == 0 || b.Samples == 0 && b.Tier == block.Raw:
		return fmt.Errorf("block %q: %d bytes, %d series, %d samples: none may be 0", b.Name, b.Size, b.Series, b.Samples)
	case b.MinTime > b.MaxTime:
		return fmt.Errorf("block %q: times %d to %d are not a range", b.Name, b.MinTime, b.MaxTime)
	case b.Tier != block.Raw && b.Span().Intersect(b.Info.TimeRange()) != b.Info.TimeRange():
		return fmt.Errorf("block %q: times %d to %d are not in its days", b.Name, b.MinTime, b.MaxTime)
	case b.Tier == block.Raw && b.Level != block.L0 && !b.Key.Holds(b.MinTime, b.MaxTime):
		return fmt.Errorf("block %q: times %d to %d are not in its partition", b.Name, b.MinTime, b.MaxTime)
	case len(keys.First) > maxKeyBytes || len(keys.Last) > maxKeyBytes:
		return fmt.Errorf("block %q: keys of %d and %d bytes exceed the limit of %d", b.Name, len(keys.First), len(keys.Last), maxKeyBytes)
	case keys.First > keys.Last:
		return fmt.Errorf("block %q: keys %q to %q are not a range", b.Name, keys.First, keys.Last)
	}
	return nil
}

// appendTombstone appends the body of a tombstone.
func appendTombstone(dst []byte, t *Tombstone) []byte {
	dst = binary.AppendUvarint(dst, t.ID)
	dst = binary.AppendUvarint(dst, uint64(t.Tenant))
	dst = binary.AppendUvarint(dst, t.Gen)
	dst = binary.AppendVarint(dst, t.Range.Min)
	dst = binary.AppendVarint(dst, t.Range.Max)
	return appendMatchers(dst, t.Matchers)
}

// decodeTombstone decodes the body that appendTombstone writes.
func decodeTombstone(body []byte) (Tombstone, error) {
	in := format.Reader{B: body}
	var t Tombstone
	t.ID = in.Uvarint(math.MaxUint64)
	t.Tenant = uint32(in.Uvarint(math.MaxUint32))
	t.Gen = in.Uvarint(math.MaxUint64)
	t.Range.Min = in.Varint()
	t.Range.Max = in.Varint()
	var err error
	if t.Matchers, err = readMatchers(&in); err != nil {
		return Tombstone{}, err
	}
	if err := in.End("body"); err != nil {
		return Tombstone{}, err
	}
	return t, nil
}
