package encoding

import "encoding/binary"

// The SPARSE coder: the residuals that are not 0 and their positions, as two
// columns of integers of order raw that are not SPARSE themselves.
//
//	┌────────────┬────────────────────────┬────────┐
//	│ uv changes │ uv length │ gaps       │ values │
//	└────────────┴────────────────────────┴────────┘
//
// A gap is the number of zeros since the previous change, or since the start.

// appendSparse appends the residuals xs, some but not all of which are 0.
func (s *scratch) appendSparse(dst []byte, xs []uint64) []byte {
	gaps, changes := s.gaps[:0], s.changes[:0]
	next := 0
	for i, x := range xs {
		if x != 0 {
			gaps, changes = append(gaps, int64(i-next)), append(changes, int64(x))
			next = i + 1
		}
	}
	s.gaps, s.changes = gaps, changes
	dst = binary.AppendUvarint(dst, uint64(len(changes)))
	s.inner, _ = appendInts(s.inner[:0], gaps, tryRaw|inner, s)
	dst = AppendBytes(dst, s.inner)
	dst, _ = appendInts(dst, changes, tryRaw|inner, s)
	return dst
}

// sparseHeader is a parsed SPARSE payload.
type sparseHeader struct {
	changes int
	gaps    []byte
	values  []byte
}

// parseSparse reads the payload of n residuals.
func parseSparse(src []byte, n int) (h sparseHeader, err error) {
	k, rest, err := Uvarint(src)
	if err != nil {
		return h, err
	}
	if k == 0 || k > uint64(n) {
		return h, corruptf("SPARSE: %d changes of %d residuals", k, n)
	}
	h.changes = int(k)
	h.gaps, h.values, err = Bytes(rest, maxIntsColumn)
	return h, err
}

// sparseReader decodes residuals a block at a time.
type sparseReader struct {
	gaps, values []uint64 // not consumed yet
	at           uint64   // index of the residual after the last change, relative to the block, modulo 2^64
}

// begin decodes the gaps and values of n residuals into memory, which it returns,
// grown if necessary.
func (r *sparseReader) begin(memory []uint64, h sparseHeader, n int) ([]uint64, error) {
	memory = sized(memory, 2*h.changes)
	gaps, values := memory[:h.changes:h.changes], memory[h.changes:]
	for _, c := range [2]struct {
		w   []uint64
		src []byte
	}{{gaps, h.gaps}, {values, h.values}} {
		if err := decodeInnerInts(c.w, c.src); err != nil {
			return memory, err
		}
	}
	left := uint64(n)
	for _, gap := range gaps {
		if gap >= left {
			return memory, corruptf("SPARSE: change beyond the residuals")
		}
		left -= gap + 1
	}
	*r = sparseReader{gaps: gaps, values: values}
	return memory, nil
}

// enterSparse skips the residuals before i and those from j on. It returns i, or 0
// if the values depend on all previous ones in a way that cannot be skipped.
func (r *intReader) enterSparse(i, j int) (from int) {
	s, at, step := &r.sparse, 0, r.step
	low := uint64(r.header.low) * r.header.gcd
	if r.header.order == OrderDelta {
		step = low
	}
	if r.header.order != OrderDelta2 || low == 0 {
		v, k, summed := r.value, 0, r.header.order.heads() > 0
		for k < len(s.gaps) && at+int(s.gaps[k]) < i {
			line := s.gaps[k] + 1
			v += step * line
			if summed {
				v += r.header.gcd * s.values[k]
			}
			if r.header.order == OrderDelta2 {
				step += r.header.gcd * s.values[k]
			}
			at += int(line)
			k++
		}
		v += step * uint64(i-at)
		if s.gaps, s.values = s.gaps[k:], s.values[k:]; len(s.gaps) > 0 {
			s.gaps[0] -= uint64(i - at)
		}
		at, r.value, r.step = i, v, step
	}
	from = at
	for k, gap := range s.gaps {
		if at += int(gap); at >= j {
			s.gaps, s.values = s.gaps[:k], s.values[:k]
			break
		}
		at++
	}
	return from
}

// next fills the next block of residuals.
func (r *sparseReader) next(us []uint64) {
	clear(us)
	at, values, k := r.at, r.values[:len(r.gaps)], 0
	for i, gap := range r.gaps {
		if at += gap; at >= uint64(len(us)) {
			at -= gap
			break
		}
		us[at] = values[i]
		at++
		k = i + 1
	}
	r.at, r.gaps, r.values = at-uint64(len(us)), r.gaps[k:], values[k:]
}

// sparseToFloats fills vs with the floats of a SPARSE column without expanding the
// residuals: between two changes the values lie on a line, usually a level one. It
// returns false for orders in which they do not, and if the lines are too short to
// pay: a line saves an addition per value, and for decimals a division.
func (r *intReader) sparseToFloats(vs []float64, f formula) bool {
	shortest := 8
	if f.transform == TransformInt {
		shortest = 24
	}
	if len(r.sparse.gaps)*shortest > len(vs) {
		return false
	}
	g, low, step := r.header.gcd, uint64(r.header.low)*r.header.gcd, r.step
	switch {
	case r.header.order == OrderDelta:
		step = low
	case r.header.order != OrderDelta2 || low != 0:
		return false
	}
	v, gaps := r.value, r.sparse.gaps
	for i, x := range r.sparse.values {
		v = fillLine(vs[:gaps[i]], f, v, step)
		vs = vs[gaps[i]:]
		if r.header.order == OrderDelta2 {
			step += g * x
			v += step
		} else {
			v += step + g*x
		}
		words(vs)[0] = v
		f.toFloats(vs[:1])
		vs = vs[1:]
	}
	fillLine(vs, f, v, step)
	return true
}

// fillLine fills vs with the floats of the integers v + step, v + 2·step … and
// returns the last integer.
func fillLine(vs []float64, f formula, v, step uint64) uint64 {
	if len(vs) == 0 {
		return v
	}
	w := words(vs)
	if step == 0 {
		w[0] = v
		f.toFloats(vs[:1])
		fillLevel(vs, vs[0])
		return v
	}
	if f.transform == TransformInt {
		for i := range vs {
			v += step
			vs[i] = float64(int64(v))
		}
		return v
	}
	for i := range w {
		v += step
		w[i] = v
	}
	f.toFloats(vs)
	return v
}
