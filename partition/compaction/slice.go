package compaction

import (
	"errors"
	"math"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// sliceSamples is the approximate number of samples of a series that are merged at
// once.
const sliceSamples = 64 << 10

// rowReader reads the rows of chunks, as *block.Iterator does.
type rowReader interface {
	Samples(c block.Chunk, during model.TimeRange, dst *model.ColumnSet) error
}

// rowWriter writes rows in ascending order of time, and chunks that cannot be read,
// as *block.Writer does.
type rowWriter interface {
	Samples(s *model.ColumnSet) error
	Bad(c block.Chunk) error
}

// rowOutput returns the writer for the current series, which an output begins with
// its first row.
type rowOutput interface {
	rows() (rowWriter, error)
}

// sliceMerger merges the chunks of a series that cannot be copied, one slice of time
// after another, so that its memory does not grow with their number. It moves rows
// without interpreting their columns, and reuses its memory between series.
type sliceMerger struct {
	open    []mergeChunk    // chunks of the current slice
	merged  model.ColumnSet // their merged rows
	scratch model.ColumnSet
	part    model.ColumnSet // rows of merged on their way to the writer, which keeps none
	bad     []mergeChunk    // chunks that cannot be read
	carried mergeChunk      // the last bad chunk that was written
}

// merge writes chunks, which are in ascending order of MinTime, to an output.
func (s *sliceMerger) merge(m *merger, out rowOutput, chunks []mergeChunk) error {
	s.open = s.open[:0]
	s.carried.MaxTime = math.MinInt64
	during := model.TimeRange{Min: m.kept.Min}
	for len(chunks) > 0 || len(s.open) > 0 {
		n := 0
		for _, c := range s.open {
			n += int(c.Count)
		}
		for took := false; len(chunks) > 0 && (n < sliceSamples || !took); took = true {
			s.open = append(s.open, chunks[0])
			n += int(chunks[0].Count)
			chunks = chunks[1:]
		}
		during.Max = m.kept.Max
		if len(chunks) > 0 {
			during.Max = chunks[0].MinTime
		}
		if err := s.read(m, during); err != nil {
			return err
		}
		if err := s.write(m, out); err != nil {
			return err
		}
		s.open = slices.DeleteFunc(s.open, func(c mergeChunk) bool { return c.MaxTime < during.Max || during.Max == m.kept.Max })
		during.Min = max(during.Min, during.Max)
	}
	return nil
}

// read fills merged with the rows of the open chunks in a slice of time, merged from
// the oldest input to the newest. It moves chunks that cannot be read from open to
// bad.
func (s *sliceMerger) read(m *merger, during model.TimeRange) error {
	s.merged.Reset()
	s.bad = s.bad[:0]
	for _, in := range m.group {
		in.part.Reset()
		for _, c := range s.open {
			if c.in != in || !c.Overlaps(during) {
				continue
			}
			err := s.readChunk(in, c, during)
			switch {
			case err == nil:
				m.result.Decoded++
			case errors.Is(err, format.ErrCorrupt):
				m.result.Lost = append(m.result.Lost, err)
				s.bad = append(s.bad, c)
			default:
				return err
			}
		}
		read := in.part.Len()
		in.deleted.Remove(&in.part, 0)
		m.result.Deleted += uint64(read - in.part.Len())
		switch {
		case in.part.Len() == 0:
		case s.merged.Len() == 0:
			s.merged, in.part = in.part, s.merged
		default:
			s.scratch.Reset()
			model.Merge(&s.scratch, &s.merged, &in.part)
			if s.scratch.Len() < s.merged.Len()+in.part.Len() {
				m.result.Overwritten += overwritten(&s.merged, &in.part)
			}
			s.merged, s.scratch = s.scratch, s.merged
		}
	}
	if len(s.bad) > 0 {
		slices.SortFunc(s.bad, compareChunks)
		s.open = slices.DeleteFunc(s.open, func(c mergeChunk) bool {
			return slices.ContainsFunc(s.bad, func(b mergeChunk) bool { return b.Chunk == c.Chunk })
		})
	}
	return nil
}

// overwritten counts the rows of older that Merge replaces with a different row of newer.
func overwritten(older, newer *model.ColumnSet) (n uint64) {
	for i, j := 0, 0; i < older.Len() && j < newer.Len(); {
		switch a, b := older.T[i], newer.T[j]; {
		case a < b:
			i++
		case b < a:
			j++
		default:
			if !newer.EqualAt(j, older, i) && model.Overwrites(newer.StaleAt(j), older.StaleAt(i)) {
				n++
			}
			i++
			j++
		}
	}
	return n
}

// readChunk adds the rows of a chunk to those of its input. Only chunks of different
// kinds overlap within an input.
func (s *sliceMerger) readChunk(in *mergeInput, c mergeChunk, during model.TimeRange) error {
	n := in.part.Len()
	if n == 0 || in.part.T[n-1] < max(c.MinTime, during.Min) {
		return in.rows.Samples(c.Chunk, during, &in.part)
	}
	var chunk, both model.ColumnSet
	if err := in.rows.Samples(c.Chunk, during, &chunk); err != nil {
		return err
	}
	model.Merge(&both, &in.part, &chunk)
	in.part = both
	return nil
}

// write writes the merged rows, and the bad chunks at their position in time. It
// returns an error for a bad chunk whose range overlaps other samples or bad chunks,
// because their order is unknown, and for any bad chunk of an L0.
func (s *sliceMerger) write(m *merger, out rowOutput) error {
	i := 0
	for n := range s.bad {
		b := &s.bad[n]
		k, _ := slices.BinarySearch(s.merged.T[i:], b.MinTime)
		j := i + k
		if b.MinTime <= s.carried.MaxTime || m.plan.Level == block.L0 || j < s.merged.Len() && s.merged.T[j] <= b.MaxTime {
			return cannotCarry(b)
		}
		if err := s.samples(out, i, j); err != nil {
			return err
		}
		w, err := out.rows()
		if err != nil {
			return err
		}
		if err := w.Bad(b.Chunk); err != nil {
			return err
		}
		i, s.carried = j, *b
	}
	if i < s.merged.Len() && s.merged.T[i] <= s.carried.MaxTime {
		return cannotCarry(&s.carried)
	}
	return s.samples(out, i, s.merged.Len())
}

func cannotCarry(c *mergeChunk) error {
	return c.Damage("chunk that overlaps others cannot be carried along")
}

func (s *sliceMerger) samples(out rowOutput, i, j int) error {
	if i >= j {
		return nil
	}
	w, err := out.rows()
	if err != nil {
		return err
	}
	s.part = s.merged.Slice(i, j)
	return w.Samples(&s.part)
}
