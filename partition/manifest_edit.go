package partition

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// maxSourceNameBytes bounds the name of a source. Other limits are those of
// files (format.go) and of matchers (model.MaxMatchers, model.MaxMatcherBytes).
// The encoder refuses what exceeds them, the decoder takes it for damage.
const maxSourceNameBytes = 4 << 10

// The fields of an edit. Each is written as tag, length and body, by rising
// tag. The set is closed: a field that is not known needs a new version of the
// file.
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
	tagEnd           = 16
)

// tagNames are what inspect prints.
var tagNames = [tagEnd]string{
	tagWallMs: "wall time", tagSeed: "identity seed", tagFormat: "format", tagAddBlock: "add block",
	tagDropBlock: "drop block", tagDropped: "dropped before", tagAddTombstone: "add tombstone",
	tagDropTombstone: "drop tombstone", tagWALLow: "WAL low end", tagHighGen: "highest generation",
	tagHighLSN: "highest LSN", tagHighSegment: "highest segment", tagFloor: "retention floor",
	tagOffset: "source offset", tagIncarnation: "incarnation",
}

func repeated(tag uint64) bool {
	switch tag {
	case tagAddBlock, tagDropBlock, tagDropped, tagAddTombstone, tagDropTombstone, tagOffset:
		return true
	}
	return false
}

// record is the content of one record of the MANIFEST: an edit, or a snapshot,
// which is the edit that makes its state out of nothing.
type record struct {
	Edit
	// The rest is zero in an edit.
	seed    uint64
	format  FormatOptions
	ages    map[string]ages // of the blocks in Add
	dropped []string
}

// ages are OldestMs and NewestMs of a block.
type ages struct{ oldest, newest int64 }

// snapshotOf returns the record that makes s out of nothing.
func snapshotOf(s *State) record {
	r := record{
		Edit: Edit{
			Number: s.Number, WallMs: s.WallMs, Keys: map[string]KeyRange{},
			AddTombstones: s.Tombstones, WALLow: &s.WALLow,
			HighGen: s.HighGen, HighLSN: s.HighLSN, HighSegment: s.HighSegment,
			Offsets: s.Offsets,
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
		r.Add = append(r.Add, b.BlockInfo)
		r.Keys[b.Name] = b.Keys
		r.ages[b.Name] = ages{b.OldestMs, b.NewestMs}
	}
	return r
}

// state returns what a snapshot makes.
func (r *record) state() *State {
	s := newState(r.seed, r.WallMs)
	s.Format = r.format
	s = s.apply(r.Edit)
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

// validate returns what decodeRecord would refuse of r.
func (r *record) validate() error {
	for _, b := range r.Add {
		if err := checkListed(b, r.Keys[b.Name]); err != nil {
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
	return nil
}

func checkName(name string) error {
	if len(name) == 0 || len(name) > maxNameBytes {
		return fmt.Errorf("file name of %d bytes, from 1 to %d are possible", len(name), maxNameBytes)
	}
	return nil
}

// checkTombstone returns what decodeTombstone would refuse of t.
func checkTombstone(t *Tombstone) error {
	if n := len(t.Matchers); n > model.MaxMatchers {
		return fmt.Errorf("tombstone %d: %d matchers exceed the limit of %d", t.ID, n, model.MaxMatchers)
	}
	for i, m := range t.Matchers {
		if m.Type > labels.MatchNotRegexp {
			return fmt.Errorf("tombstone %d: matcher %d is of unknown type %d", t.ID, i, m.Type)
		}
		if n := max(len(m.Name), len(m.Value)); n > model.MaxMatcherBytes {
			return fmt.Errorf("tombstone %d: matcher %d has a name or value of %d bytes, the limit is %d", t.ID, i, n, model.MaxMatcherBytes)
		}
	}
	return nil
}

// appendRecord appends the fields of r. Number is in the header of the record.
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
		a := r.ages[b.Name]
		body = appendListed(body, Listed{BlockInfo: b, Keys: r.Keys[b.Name], OldestMs: a.oldest, NewestMs: a.newest})
		field(tagAddBlock)
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
		body = appendString(body, name)
		body = binary.AppendVarint(body, r.Offsets[name])
		field(tagOffset)
	}
	if r.Incarnation != nil {
		body = appendIncarnation(body, r.Incarnation)
		field(tagIncarnation)
	}
	return dst
}

// decodeRecord reads the fields of a record. src may be anything.
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
	in := bytesReader{b: src}
	last := uint64(0)
	for len(in.b) > 0 {
		off := len(src) - len(in.b)
		tag := in.uvarint(math.MaxUint64)
		body := in.bytes(in.uvarint(maxRecordBytes))
		if in.err != nil {
			return corrupt("field at %d: %v", off, in.err)
		}
		if tag == 0 || tag >= tagEnd || tag < last || tag == last && !repeated(tag) {
			return corrupt("field at %d: tag %d after %d", off, tag, last)
		}
		last = tag
		if err := fn(off, tag, body); err != nil {
			return fmt.Errorf("%s at %d: %w", tagNames[tag], off, err)
		}
	}
	return nil
}

func (r *record) decodeField(tag uint64, body []byte) error {
	in := bytesReader{b: body}
	switch tag {
	case tagWallMs:
		r.WallMs = in.varint()
	case tagSeed:
		r.seed = in.uvarint(math.MaxUint64)
	case tagFormat:
		r.format.Shards = uint32(in.uvarint(math.MaxUint32))
		r.format.PartitionMs = in.varint()
	case tagAddBlock:
		return r.decodeAdd(body)
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
		r.DropTombstones = append(r.DropTombstones, in.uvarint(math.MaxUint64))
	case tagWALLow:
		v := in.uvarint(math.MaxUint64)
		r.WALLow = &v
	case tagHighGen:
		r.HighGen = in.uvarint(math.MaxUint64)
	case tagHighLSN:
		r.HighLSN = in.uvarint(math.MaxUint64)
	case tagHighSegment:
		r.HighSegment = in.uvarint(math.MaxUint64)
	case tagFloor:
		v := in.varint()
		r.Floor = &v
	case tagOffset:
		name := in.string(maxSourceNameBytes)
		if r.Offsets == nil {
			r.Offsets = map[string]int64{}
		}
		r.Offsets[name] = in.varint()
	case tagIncarnation:
		n := readIncarnation(&in)
		r.Incarnation = &n
	}
	return in.end("body")
}

// readName reads all that is left as the name of a file.
func readName(in *bytesReader) string {
	if len(in.b) == 0 || len(in.b) > maxNameBytes {
		in.fail("length of a name")
	}
	return string(in.bytes(uint64(len(in.b))))
}

func (r *record) decodeAdd(body []byte) error {
	b, err := decodeListed(body)
	if err != nil {
		return err
	}
	r.Add = append(r.Add, b.BlockInfo)
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

// appendListed appends what is known of a block. The ages are 0 in an edit,
// whose wall time says them.
func appendListed(dst []byte, b Listed) []byte {
	dst = appendString(dst, b.Name)
	dst = append(dst, byte(b.Level))
	dst = binary.AppendVarint(dst, b.Partition)
	dst = binary.AppendUvarint(dst, b.MinGen)
	dst = binary.AppendUvarint(dst, b.MaxGen)
	dst = binary.AppendUvarint(dst, uint64(b.Ordinal))
	dst = binary.AppendUvarint(dst, uint64(len(b.Inputs)))
	for _, in := range b.Inputs {
		dst = appendString(dst, in)
	}
	dst = binary.AppendUvarint(dst, uint64(b.Size))
	dst = binary.AppendUvarint(dst, uint64(b.FooterLen))
	dst = binary.LittleEndian.AppendUint32(dst, b.CRC)
	dst = binary.AppendUvarint(dst, b.Series)
	dst = binary.AppendUvarint(dst, b.Samples)
	dst = binary.AppendVarint(dst, b.MinTime)
	dst = binary.AppendVarint(dst, b.MaxTime)
	dst = appendString(dst, b.Keys.First)
	dst = appendString(dst, b.Keys.Last)
	dst = binary.AppendVarint(dst, b.OldestMs)
	return binary.AppendVarint(dst, b.NewestMs)
}

// decodeListed mirrors appendListed and checks what the block says of itself.
func decodeListed(body []byte) (Listed, error) {
	in := bytesReader{b: body}
	var b Listed
	b.Name = in.string(maxNameBytes)
	b.Level = Level(in.byte())
	b.Partition = in.varint()
	b.MinGen = in.uvarint(math.MaxUint64)
	b.MaxGen = in.uvarint(math.MaxUint64)
	b.Ordinal = uint32(in.uvarint(math.MaxUint32))
	for range in.uvarint(maxInputs) {
		name := in.string(maxNameBytes)
		if in.err != nil {
			break
		}
		b.Inputs = append(b.Inputs, name)
	}
	b.Size = int64(in.uvarint(math.MaxInt64))
	b.FooterLen = uint32(in.uvarint(math.MaxUint32))
	b.CRC = in.uint32()
	b.Series = in.uvarint(math.MaxUint64)
	b.Samples = in.uvarint(math.MaxUint64)
	b.MinTime = in.varint()
	b.MaxTime = in.varint()
	b.Keys.First = in.string(maxKeyBytes)
	b.Keys.Last = in.string(maxKeyBytes)
	b.OldestMs = in.varint()
	b.NewestMs = in.varint()
	if err := in.end("body"); err != nil {
		return Listed{}, err
	}
	if err := checkListed(b.BlockInfo, b.Keys); err != nil {
		return Listed{}, corrupt("%v", err)
	}
	return b, nil
}

// checkListed says what of a block's description contradicts itself.
func checkListed(b BlockInfo, keys KeyRange) error {
	if err := b.validate(); err != nil {
		return fmt.Errorf("block %q: %w", b.Name, err)
	}
	if err := checkName(b.Name); err != nil {
		return err
	}
	switch {
	case b.Name != BlockName(b.BlockMeta):
		return fmt.Errorf("block %q should be named %q", b.Name, BlockName(b.BlockMeta))
	case b.Size <= 0 || b.Series == 0 || b.Samples == 0:
		return fmt.Errorf("block %q: %d bytes, %d series, %d samples", b.Name, b.Size, b.Series, b.Samples)
	case b.MinTime > b.MaxTime:
		return fmt.Errorf("block %q: times %d to %d", b.Name, b.MinTime, b.MaxTime)
	case b.Level != L0 && !partitionHolds(b.Partition, b.MinTime, b.MaxTime):
		return fmt.Errorf("block %q: times %d to %d are not in its partition", b.Name, b.MinTime, b.MaxTime)
	case len(keys.First) > maxKeyBytes || len(keys.Last) > maxKeyBytes:
		return fmt.Errorf("block %q: keys of %d and %d bytes exceed %d", b.Name, len(keys.First), len(keys.Last), maxKeyBytes)
	case keys.First > keys.Last:
		return fmt.Errorf("block %q: keys %q to %q", b.Name, keys.First, keys.Last)
	}
	return nil
}

// partitionHolds reports whether start is the start of a partition and the
// times from lo to hi lie in it.
func partitionHolds(start, lo, hi int64) bool {
	return model.PartitionStart(start) == start && lo >= start && hi >= lo && uint64(hi-start) < uint64(model.DayMs)
}

// appendTombstone appends the body of a tombstone.
func appendTombstone(dst []byte, t *Tombstone) []byte {
	dst = binary.AppendUvarint(dst, t.ID)
	dst = binary.AppendUvarint(dst, uint64(t.Tenant))
	dst = binary.AppendUvarint(dst, t.Gen)
	dst = binary.AppendVarint(dst, t.Range.Min)
	dst = binary.AppendVarint(dst, t.Range.Max)
	dst = binary.AppendUvarint(dst, uint64(len(t.Matchers)))
	for _, m := range t.Matchers {
		dst = append(dst, byte(m.Type))
		dst = appendString(dst, m.Name)
		dst = appendString(dst, m.Value)
	}
	return dst
}

// decodeTombstone mirrors appendTombstone.
func decodeTombstone(body []byte) (Tombstone, error) {
	in := bytesReader{b: body}
	var t Tombstone
	t.ID = in.uvarint(math.MaxUint64)
	t.Tenant = uint32(in.uvarint(math.MaxUint32))
	t.Gen = in.uvarint(math.MaxUint64)
	t.Range.Min = in.varint()
	t.Range.Max = in.varint()
	for range in.uvarint(model.MaxMatchers) {
		typ := labels.MatchType(in.byte())
		name, value := in.string(model.MaxMatcherBytes), in.string(model.MaxMatcherBytes)
		if in.err != nil {
			break
		}
		if typ > labels.MatchNotRegexp {
			return Tombstone{}, corrupt("matcher of type %d", typ)
		}
		m, err := labels.NewMatcher(typ, name, value)
		if err != nil {
			return Tombstone{}, corrupt("matcher: %v", err)
		}
		t.Matchers = append(t.Matchers, m)
	}
	if err := in.end("body"); err != nil {
		return Tombstone{}, err
	}
	return t, nil
}
