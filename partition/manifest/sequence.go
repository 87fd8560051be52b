package manifest

import (
	"encoding/binary"
	"fmt"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// A Sequence is a file in the form of a MANIFEST that keeps several states of one
// database: the first record is the snapshot of one, each further record the edit that
// leads to the next. The numbers of the states, which have no gaps, are their own, not
// those of the edits of the database.
//
// SequenceWriter makes the bytes of such a file; its zero value begins with a new file.
// It is not safe for concurrent use.
type SequenceWriter struct {
	last    *State // nil before the first
	version uint32
}

// Next returns the bytes of the record of a state, to be appended to the file. whole
// reports that they are those of a new file: the state cannot be appended to the last one.
func (w *SequenceWriter) Next(s *State) (b []byte, whole bool, err error) {
	if w.last != nil && s.Number == w.last.Number+1 {
		if e, ok := Difference(w.last, s); ok {
			r := record{Edit: e}
			if b, err = appendFramed(nil, kindEdit, &r); err != nil || r.version() <= w.version {
				return b, false, err
			}
		}
	}
	b, err = Encode(s)
	return b, true, err
}

// Wrote tells that the file has all states up to s, which Next was called with. whole is
// that of Next.
func (w *SequenceWriter) Wrote(s *State, whole bool) {
	w.last = s
	if whole {
		r := snapshotOf(s)
		w.version = r.version()
	}
}

// Sequence is what can be read of a file of states.
type Sequence struct {
	// Edits lead to the states, each from that of the one before, and the first from an
	// empty state. Number and WallMs are those of the states.
	Edits []Edit
	Torn  Torn // the end of the file, if its last record is not complete
	seed  uint64
}

// ReadSequence reads the bytes of a file of states, which may be anything. An error is
// about what follows the last of the edits that are returned.
func ReadSequence(b []byte) (*Sequence, error) {
	if err := checkManifestHeader(b); err != nil {
		return &Sequence{}, err
	}
	q := &Sequence{}
	version := binary.LittleEndian.Uint32(b[8:])
	off, last := int64(manifestHeaderLen), uint64(0)
	for off < int64(len(b)) {
		f, ok := unframe(b, off)
		if !ok {
			break
		}
		first := len(q.Edits) == 0
		if (f.kind == kindSnapshot) != first || !first && f.number != last+1 {
			return q, damage(off, "%s %d as record %d", f.kind, f.number, len(q.Edits))
		}
		r, err := decodeRecord(f.payload)
		switch {
		case err != nil:
			return q, damage(off, "%s %d: %v", f.kind, f.number, err)
		case r.version() > version:
			return q, damage(off, "%s %d has fields of version %d in a file of version %d", f.kind, f.number, r.version(), version)
		case first && r.format != thisFormat:
			return q, fmt.Errorf("states with format options %+v, this program needs %+v: %w", r.format, thisFormat, format.ErrVersion)
		case first:
			q.seed = r.seed
		}
		r.Number, last = f.number, f.number
		q.Edits = append(q.Edits, r.Edit)
		off = f.end()
	}
	if len(q.Edits) == 0 {
		return q, damage(off, "no snapshot")
	}
	if next, ok := findRecord(b, off, last); ok {
		return q, damage(off, "record %d is damaged, %d follows at %d", last+1, next.number, next.off)
	}
	q.Torn = Torn{Offset: off, Bytes: int64(len(b)) - off}
	return q, nil
}

// State returns the state of a number, nil if there is none or the edits contradict each
// other. The ages of its blocks are not those that they had.
func (q *Sequence) State(number uint64) *State {
	if len(q.Edits) == 0 || number < q.Edits[0].Number || number-q.Edits[0].Number >= uint64(len(q.Edits)) {
		return nil
	}
	s := NewState(q.seed, 0)
	for i := range q.Edits[:number-q.Edits[0].Number+1] {
		for _, name := range q.Edits[i].Drop {
			if _, listed := s.Blocks[name]; !listed {
				return nil
			}
		}
		s = s.Apply(q.Edits[i])
		clear(s.Dropped)
	}
	return s
}

// ReadFile reads a file in the form of a MANIFEST.
func ReadFile(fsys vfs.FS, name string) ([]byte, error) {
	return readFile(fsys, name, MaxManifestBytes)
}
