package manifest

import (
	"bytes"
	"math"
	"path"
	"slices"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// maxCombined is the maximum number of differing bytes in two copies of a record
// for which combine tries every combination.
const maxCombined = 10

// Salvaged holds the readable records of damaged copies of a MANIFEST.
type Salvaged struct {
	// Chains are the states of the intact snapshots, each advanced by the
	// intact edits that follow it without a gap, newest first.
	Chains []*State
	// Edits are the intact edits, by number.
	Edits map[uint64]*Edit
	// Highest is the highest number of an intact record.
	Highest uint64
	// Seeds are identity seeds read from snapshots whose checksum is wrong.
	// They are unverified: the caller checks them against series.
	Seeds []uint64
}

// ReadSalvage salvages the copies of the MANIFEST in dir.
func ReadSalvage(fsys vfs.FS, dir string) *Salvaged {
	var copies [][]byte
	for _, base := range CopyNames {
		if b, err := readFile(fsys, path.Join(dir, base), MaxManifestBytes); err == nil {
			copies = append(copies, b)
		}
	}
	return Salvage(copies)
}

// Salvage reads the intact records of the copies, at any offset. If there are two
// copies it also restores records that are damaged in both, at different bytes.
// Except for Seeds, the result does not depend on the damaged bytes.
func Salvage(copies [][]byte) *Salvaged {
	s := &Salvaged{Edits: map[uint64]*Edit{}}
	snapshots := map[uint64]*record{}
	take := func(f framed) {
		r, err := decodeRecord(f.payload)
		if err != nil {
			return
		}
		r.Number = f.number
		s.Highest = max(s.Highest, f.number)
		if f.kind == kindEdit {
			s.Edits[f.number] = &r.Edit
		} else if r.format == thisFormat {
			snapshots[f.number] = r
		}
	}
	for _, b := range copies {
		eachIntact(b, take)
		s.Seeds = append(s.Seeds, damagedSeeds(b)...)
	}
	if len(copies) == 2 {
		eachCombined(copies[0], copies[1], take)
	}
	slices.Sort(s.Seeds)
	s.Seeds = slices.Compact(s.Seeds)
	for _, r := range snapshots {
		s.Chains = append(s.Chains, s.extend(r.state(), r.Number))
	}
	slices.SortFunc(s.Chains, func(a, b *State) int {
		if a.Number != b.Number {
			return int(min(max(int64(b.Number-a.Number), -1), 1))
		}
		return int(min(max(int64(a.Seed-b.Seed), -1), 1))
	})
	return s
}

// extend applies the intact edits that follow st, which has the given number.
func (s *Salvaged) extend(st *State, number uint64) *State {
	st.Number = number
	for {
		r := s.Edits[st.Number+1]
		if r == nil || slices.ContainsFunc(r.Drop, func(name string) bool { _, listed := st.Blocks[name]; return !listed }) {
			return st
		}
		st = st.Apply(*r)
	}
}

// Later returns the intact edits with numbers above number, in ascending order.
func (s *Salvaged) Later(number uint64) []*Edit {
	var rs []*Edit
	for n, r := range s.Edits {
		if n > number {
			rs = append(rs, r)
		}
	}
	slices.SortFunc(rs, func(a, b *Edit) int {
		if a.Number < b.Number {
			return -1
		}
		return 1
	})
	return rs
}

// eachIntact calls fn with every record whose checksum is right.
func eachIntact(b []byte, fn func(framed)) {
	for off := int64(0); off < int64(len(b)); {
		f, ok := unframe(b, off)
		if ok {
			fn(f)
			off = f.end()
			continue
		}
		off = nextMagic(b, off+1)
	}
}

// nextMagic returns the first offset at or after off where a record may begin.
func nextMagic(b []byte, off int64) int64 {
	next := int64(len(b))
	for _, k := range []recordKind{kindSnapshot, kindEdit} {
		if off < int64(len(b)) {
			if i := bytes.Index(b[off:], []byte(k)); i >= 0 {
				next = min(next, off+int64(i))
			}
		}
	}
	return next
}

// eachCombined walks two copies with the same records at the same offsets, and
// calls fn with the records that are damaged in both, at different bytes.
func eachCombined(a, b []byte, fn func(framed)) {
	off := int64(manifestHeaderLen)
	for off < int64(min(len(a), len(b))) {
		f, ok := unframe(a, off)
		if !ok {
			f, ok = unframe(b, off)
		}
		if !ok {
			if f, ok = combine(a, b, off); !ok {
				return
			}
			fn(f)
		}
		off = f.end()
	}
}

// combine tries every choice of the differing bytes of the record at off from one
// copy or the other, and returns the first with a valid checksum.
func combine(a, b []byte, off int64) (framed, bool) {
	for _, from := range [][]byte{a, b} {
		if int64(len(from)) < off+recordHeaderLen {
			continue
		}
		n := int64(uint32(from[off+4]) | uint32(from[off+5])<<8 | uint32(from[off+6])<<16 | uint32(from[off+7])<<24)
		end := off + recordHeaderLen + n
		if n > maxRecordBytes || end > int64(min(len(a), len(b))) {
			continue
		}
		var differ []int64
		for i := off; i < end && len(differ) <= maxCombined; i++ {
			if a[i] != b[i] {
				differ = append(differ, i)
			}
		}
		if len(differ) == 0 || len(differ) > maxCombined {
			continue
		}
		mixed := bytes.Clone(a[:end])
		for mask := range 1 << len(differ) {
			for k, i := range differ {
				mixed[i] = a[i]
				if mask>>k&1 != 0 {
					mixed[i] = b[i]
				}
			}
			if f, ok := unframe(mixed, off); ok {
				return f, true
			}
		}
	}
	return framed{}, false
}

// damagedSeeds returns the identity seed of the snapshot in b, one of its first
// fields, if the checksum of the snapshot is wrong.
func damagedSeeds(b []byte) []uint64 {
	var seeds []uint64
	const off = manifestHeaderLen
	if _, intact := unframe(b, min(off, int64(len(b)))); intact || len(b) < off+recordHeaderLen {
		return nil
	}
	in := format.Reader{B: b[off+recordHeaderLen:]}
	for in.Err == nil && len(in.B) > 0 {
		tag := in.Uvarint(tagEnd)
		body := format.Reader{B: in.Bytes(in.Uvarint(math.MaxUint32))}
		if tag > tagSeed || in.Err != nil {
			break
		}
		if v := body.Uvarint(math.MaxUint64); tag == tagSeed && body.Err == nil && len(body.B) == 0 {
			seeds = append(seeds, v)
		}
	}
	return seeds
}
