package compaction

import (
	"errors"

	"tsdb/partition/block"
	"tsdb/partition/format"
)

// removal is a chunk of the current series from which a deletion may remove samples.
type removal struct {
	minTime int64  // of the chunk
	gen     uint64 // of the deletion
}

// generation returns the newest generation that contributed samples of the series to
// chunks, which go to the output of a key, or deleted samples that would go there.
func (m *merger) generation(key block.Key, chunks []mergeChunk) uint64 {
	gen := uint64(0)
	for i := range chunks {
		gen = max(gen, chunks[i].in.gen)
	}
	for _, r := range m.removals {
		if key.Level == block.L0 || key.Range().Contains(r.minTime) {
			gen = max(gen, r.gen)
		}
	}
	return gen
}

// readGeneration sets the generation of the current series of an input. If those of the
// input cannot be read, all its series have the newest.
func (m *merger) readGeneration(in *mergeInput) (err error) {
	if in.noGens {
		return nil
	}
	if in.gen, err = in.entry.Block().Generation(in.it.Ordinal()); errors.Is(err, format.ErrCorrupt) {
		m.result.Lost = append(m.result.Lost, err)
		in.gen, in.noGens = in.entry.MaxGen, true
		return nil
	}
	return err
}
