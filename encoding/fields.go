package encoding

import "fmt"

// Field is a part of a column's bytes, for people inspecting a file.
type Field struct {
	Offset, Length int
	Meaning        string
}

// ColumnFields splits the column src of n values into fields, front to back. With
// an error it returns the fields before the corrupt part.
func ColumnFields(k Kind, src []byte, n int) ([]Field, error) {
	f := fielder{total: len(src)}
	if err := checkDecode(k.String(), n); err != nil || len(src) == 0 {
		return nil, err
	}
	if n == 0 {
		return nil, corruptf("%s: %d bytes for no value", k, len(src))
	}
	var err error
	switch k {
	case KindTimestamps:
		err = f.ints(src, n)
	case KindStartTimestamps:
		if m := startMode(src[0]); m >= startRaw && m <= startToBefore {
			f.add(src[1:], "mode %d: %s", m, startModeNames[m])
			err = f.ints(src[1:], n)
		} else {
			err = corruptf("start timestamps: unknown mode %d", m)
		}
	case KindFloats:
		err = f.floats(src, n)
	case KindHistograms:
		err = f.histograms(src)
	case KindBucketTimes:
		err = f.bucketTimes(src, n)
	case KindBucketValues:
		err = f.bucketValues(src, n)
	default:
		err = corruptf("unknown kind of column %d", k)
	}
	return f.fields, err
}

// fielder collects fields. Parsers return the rest of their input, so the length of
// the rest gives the end of a field.
type fielder struct {
	fields []Field
	total  int // bytes of the column
	at     int
}

func (f *fielder) add(rest []byte, format string, args ...any) {
	if end := f.total - len(rest); end > f.at {
		f.fields = append(f.fields, Field{f.at, end - f.at, fmt.Sprintf(format, args...)})
		f.at = end
	}
}

func (f *fielder) ints(src []byte, n int) error {
	var h intHeader
	rest, err := h.parse(src, n)
	if err != nil {
		return err
	}
	id := src[0]
	src = src[1:]
	f.add(src, "order %s, coder %s", h.order, h.coder)
	_, src, _ = Varint(src)
	f.add(src, "base %d", h.base)
	if id&intGCD != 0 {
		_, src, _ = Uvarint(src)
		f.add(src, "gcd %d", h.gcd)
	}
	if h.order == OrderDelta2 {
		_, src, _ = Varint(src)
		f.add(src, "first difference %d", h.first)
	}
	if h.order == OrderGrid {
		_, src, _ = Varint(src)
		f.add(src, "step %d", h.first)
	}
	if h.order.heads() > 0 {
		_, src, _ = Varint(src)
		f.add(src, "low %d", h.low)
	}
	m := n - h.order.heads()
	if h.points != nil {
		if src, err = f.points(src, &h, m); err != nil {
			return err
		}
	}
	switch h.coder {
	case CoderConst:
		return nil
	case CoderTokA, CoderTokB:
		f.add(src[1:], "Huffman streams: %d", h.tokens.streams())
		if h.tokens.extra != nil {
			_, src, _ = Uvarint(src[1:])
			f.add(src, "length of the tokens")
			f.add(h.tokens.extra, "%d tokens", m)
		}
		f.add(nil, "%s", tokensMeaning(h, m))
		return nil
	case CoderSparse:
		return f.sparse(src, h.sparse)
	}
	f.add(src[1:], "width %d", h.pack.width)
	f.add(rest, "%d patches", h.pack.patches)
	rest = rest[packedLen(m, h.pack.width):]
	f.add(rest, "%d × %d bits", m, h.pack.width)
	f.add(nil, "patches")
	return nil
}

// points adds the fields of the restart points of m residuals, at the start of src.
func (f *fielder) points(src []byte, h *intHeader, m int) (rest []byte, err error) {
	var r pointReader
	step := uint64(0)
	if h.order == OrderDelta2 {
		step = uint64(h.first) * h.gcd
	}
	r.begin(h, m, uint64(h.base)+step, step)
	rest = src[len(h.points):]
	for at := 0; len(r.src) > 0; {
		part, err := r.next()
		if err != nil {
			return nil, err
		}
		at += part
		meaning := fmt.Sprintf("before residual %d:", at)
		if h.order != OrderRaw {
			meaning += fmt.Sprintf(" value %d", int64(r.value))
		}
		if h.order == OrderDelta2 {
			meaning += fmt.Sprintf(" difference %d", int64(r.step))
		}
		if r.wide {
			meaning += fmt.Sprintf(" extra bits %d", r.extraBits)
		}
		f.add(src[len(h.points)-len(r.src):], "%s", meaning)
	}
	return rest, nil
}

// tokensMeaning describes the last part of a TOK payload of m residuals.
func tokensMeaning(h intHeader, m int) string {
	if h.tokens.extra != nil {
		return "their extra bits"
	}
	return fmt.Sprintf("%d tokens", m)
}

// sparse adds the fields of the SPARSE payload src.
func (f *fielder) sparse(src []byte, h sparseHeader) error {
	_, src, _ = Uvarint(src)
	f.add(src, "%d changes", h.changes)
	_, src, _ = Uvarint(src)
	f.add(src, "length of their gaps")
	if err := f.inner("gaps", h.gaps, h.changes); err != nil {
		return err
	}
	return f.inner("values", h.values, h.changes)
}

// inner adds the fields of the column src of n integers, which is part of another
// column.
func (f *fielder) inner(what string, src []byte, n int) error {
	return f.innerAs(what, src, n, (*fielder).ints)
}

// innerAs is inner for a column of any type, the fields of which parse adds.
func (f *fielder) innerAs(what string, src []byte, n int, parse func(*fielder, []byte, int) error) error {
	in := fielder{total: f.at + len(src), at: f.at}
	if err := parse(&in, src, n); err != nil {
		return err
	}
	for _, c := range in.fields {
		c.Meaning = what + ": " + c.Meaning
		f.fields = append(f.fields, c)
	}
	f.at = in.at
	return nil
}

func (f *fielder) floats(src []byte, n int) error {
	h, rest, err := parseFloatHeader(src, n)
	if err != nil {
		return err
	}
	f.add(src[1:], "transform %s", h.formula.transform)
	src = src[1:]
	if h.formula.e > 0 {
		src = src[1:]
		f.add(src, "exponent %d", h.formula.e)
	}
	if h.excs.n > 0 {
		_, src, _ = Uvarint(src)
		f.add(src, "runs of exceptions")
		src = src[len(h.excs.runs):]
		f.add(src, "where the %d exceptions are", h.excs.n)
		src = src[len(h.excs.patterns):]
		f.add(src, "their bits")
	}
	if h.corrections != nil {
		_, src, _ = Uvarint(src)
		f.add(src, "length of the corrections")
		if err := f.inner("corrections", h.corrections, n); err != nil {
			return err
		}
	}
	switch {
	case h.formula.transform == TransformConst:
		f.add(nil, "the 64 bits of every value")
		return nil
	case h.formula.transform == TransformBits && len(rest) > 0 && rest[0] == xorByte:
		f.add(rest[1:], "order raw, coder XOR")
		f.add(nil, "%d values", n)
		return nil
	}
	return f.ints(rest, n)
}

func (f *fielder) histograms(src []byte) error {
	info, err := ColumnInfo(KindHistograms, src, 1)
	if err != nil {
		return err
	}
	mode := "as it is"
	if info.Zstd {
		mode = "zstd"
	}
	f.add(src[1:], "%s", mode)
	f.add(nil, "%s", info.Form)
	return nil
}
