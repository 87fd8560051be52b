package model

import "github.com/prometheus/prometheus/model/labels"

// LabelBuilder builds label sets that share allocations. A set that is kept keeps up to
// labelChunkBytes of others in memory. The zero value is ready; it is not safe for
// concurrent use.
type LabelBuilder struct {
	text  []byte   // of the set being built
	chunk []byte   // holds the sets built before
	kept  [][]byte // chunks to be used again, the ones in use first; see Rewind
	used  int      // of kept
}

// labelChunkBytes is the size of an allocation that label sets share. The first ones of
// a builder are smaller, so that a single set takes what it needs.
const labelChunkBytes = 16 << 10

// keptChunksMax bounds the chunks that a builder keeps for sets after a Rewind.
const keptChunksMax = 64

// Reset begins a set.
func (b *LabelBuilder) Reset() { b.text = b.text[:0] }

// Add adds a label. Labels are added in the order of their names; names and values are
// shorter than 16 MiB.
func (b *LabelBuilder) Add(name, value string) {
	b.text = AppendLabelString(AppendLabelString(b.text, name), value)
}

// AddBytes is Add for bytes, which are not retained.
func (b *LabelBuilder) AddBytes(name, value []byte) {
	b.text = AppendLabelString(AppendLabelString(b.text, name), value)
}

// Labels returns the set, which stays valid until Rewind.
func (b *LabelBuilder) Labels() labels.Labels {
	n := len(b.text)
	if n > cap(b.chunk)-len(b.chunk) {
		if n > labelChunkBytes/4 {
			return LabelsOf(append([]byte(nil), b.text...))
		}
		b.nextChunk(n)
	}
	from := len(b.chunk)
	b.chunk = append(b.chunk, b.text...)
	return LabelsOf(b.chunk[from:])
}

// nextChunk begins a chunk with room for n bytes.
func (b *LabelBuilder) nextChunk(n int) {
	if b.used < len(b.kept) {
		b.chunk = b.kept[b.used][:0]
		b.used++
		return
	}
	b.chunk = make([]byte, 0, max(n, min(2*cap(b.chunk), labelChunkBytes)))
	if cap(b.chunk) == labelChunkBytes && len(b.kept) < keptChunksMax {
		b.kept = append(b.kept, b.chunk)
		b.used++
	}
}

// Rewind ends the life of all sets: those built from now on use their memory.
func (b *LabelBuilder) Rewind() { b.chunk, b.used = nil, 0 }

// Release drops the memory that the builder shares with the sets it made.
func (b *LabelBuilder) Release() { b.chunk, b.kept, b.used = nil, nil, 0 }
